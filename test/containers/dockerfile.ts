// The forms of Dockerfile instructions that containers/Dockerfile uses, and no others.

export type Instruction =
  | { readonly type: "workdir"; readonly path: string }
  | {
      readonly type: "copy";
      /** A stage; undefined for the context of the build. */
      readonly from: string | undefined;
      readonly sources: readonly string[];
      readonly destination: string;
    }
  | { readonly type: "run"; readonly script: string }
  | { readonly type: "env"; readonly name: string; readonly value: string }
  | { readonly type: "user"; readonly user: string }
  | { readonly type: "volume"; readonly path: string }
  | { readonly type: "expose"; readonly ports: readonly string[] }
  | { readonly type: "entrypoint" | "cmd" | "healthcheck"; readonly command: readonly string[] };

export interface Stage {
  readonly name: string;
  /** A stage above, or an image. */
  readonly base: string;
  readonly instructions: readonly Instruction[];
}

/** Throws for what it does not know, so that nothing stands in the file that a test leaves out. */
export function parseDockerfile(text: string): readonly Stage[] {
  const stages: (Stage & { readonly instructions: Instruction[] })[] = [];
  const lines = text
    .replace(/^\s*#.*\n/gm, "")
    .replace(/\\\n\s*/g, "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  for (const line of lines) {
    const [, word = "", rest = ""] = /^([A-Z]+) +(.*)$/.exec(line) ?? fail(line);
    if (word === "FROM") {
      const [, base = "", name = ""] = /^(\S+) AS (\S+)$/.exec(rest) ?? fail(line);
      stages.push({ name, base, instructions: [] });
    } else {
      (stages.at(-1) ?? fail(line)).instructions.push(parseInstruction(line, word, rest));
    }
  }
  return stages;
}

/** The paths that are part of the build's context. Throws for anything but `*` at first and `!path`. */
export function parseIgnore(text: string): readonly string[] {
  const [all, ...others] = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  if (all !== "*") {
    throw new Error("a list of what is in the context begins with *");
  }
  return others.map((line) => /^!([\w./-]+)$/.exec(line)?.[1] ?? fail(line));
}

function parseInstruction(line: string, word: string, rest: string): Instruction {
  const words = rest.split(/ +/);
  const [first = "", second] = words;
  switch (word) {
    case "WORKDIR":
      return { type: "workdir", path: absolute(rest) };
    case "COPY": {
      const from = /^--from=(\S+)$/.exec(first)?.[1];
      const paths = from === undefined ? words : words.slice(1);
      const destination = paths.at(-1) ?? fail(line);
      const sources = paths.slice(0, -1);
      const isFolder = destination.endsWith("/");
      return sources.length === 0 ||
        paths.some((path) => /^-|[*?[]/.test(path)) ||
        (sources.length > 1 && !isFolder)
        ? fail(line)
        : { type: "copy", from, sources, destination };
    }
    case "RUN":
      return /^(--|\[|<<)/.test(rest) ? fail(line) : { type: "run", script: rest };
    case "ENV": {
      const [, name = "", value = ""] = /^(\w+)=([^\s"'$\\]+)$/.exec(rest) ?? fail(line);
      return { type: "env", name, value };
    }
    case "USER":
      return { type: "user", user: /^\d+:\d+$/.test(rest) ? rest : fail(line) };
    case "VOLUME":
      return { type: "volume", path: absolute(rest) };
    case "EXPOSE":
      return { type: "expose", ports: words };
    case "ENTRYPOINT":
      return { type: "entrypoint", command: parseCommand(rest) };
    case "CMD":
      return { type: "cmd", command: parseCommand(rest) };
    case "HEALTHCHECK": {
      const [, command = ""] = /^(?:--\w[\w-]*=\w+ +)*CMD (.*)$/.exec(rest) ?? fail(line);
      return { type: "healthcheck", command: parseCommand(command) };
    }
    default:
      return fail(`${line}${second ?? ""}`);
  }
}

/** A command in JSON, which needs no shell. */
function parseCommand(text: string): string[] {
  const command: unknown = JSON.parse(text);
  if (!Array.isArray(command) || command.some((part) => typeof part !== "string")) {
    throw new TypeError(`not a command: ${text}`);
  }
  return command;
}

function absolute(path: string): string {
  return /^\/[\w./-]+$/.test(path) ? path : fail(path);
}

function fail(line: string): never {
  throw new Error(`the test cannot run this line of the Dockerfile: ${line}`);
}
