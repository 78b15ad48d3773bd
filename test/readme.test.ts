// README.md as a user would follow it: its files make a project, code is generated, everything compiles under strict, the
// server and the client of the first screen talk to each other, and so do the examples by task.

import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

interface Block {
  readonly language: string;
  readonly code: string;
  /** The nearest heading above. */
  readonly heading: string;
}

/** Examples that are compiled alone: they take a fixed port, decide on strangers, go to the internet, or stop everything. */
const notRun = [
  "Be the same peer tomorrow",
  "Know and choose who calls",
  "Find each other by what is served",
  "Reach a peer wherever it is",
  "Serve and call by URL",
  "From a browser",
  "Programs with iroh, in Rust",
  "Stop",
  "Use more than one core",
  "Speed",
];

const blocks = codeBlocks(readFileSync(join(root, "README.md"), "utf8"));
const files = blocks.flatMap(({ code }) => {
  const path = /^(?:\/\/|#) (\S+\.\w+)\n/.exec(code)?.[1];
  return path === undefined ? [] : [{ path, code }];
});
const tasks = blocks.filter(
  ({ language, code }) => language === "ts" && !files.some((file) => file.code === code),
);

// Inside of the repository, so that "connect-quic" is found as the source (tsconfig.json, paths).
mkdirSync(join(root, ".cache"), { recursive: true });
const project = mkdtempSync(join(root, ".cache/readme-"));
after(() => rmSync(project, { recursive: true }));

before(() => {
  for (const { path, code } of files) {
    write(path, code);
  }
  tasks.forEach((task, index) => {
    write(`task-${index}.ts`, taskModule(task.code));
  });
  write("run-tasks.ts", taskRunner());
  write(
    "tsconfig.json",
    JSON.stringify({
      extends: "../../tsconfig.json",
      compilerOptions: {
        noUnusedLocals: false,
        noUnusedParameters: false,
        declaration: false,
        isolatedDeclarations: false,
      },
      // The sources stand in for the package, so what they declare has to be there.
      include: [".", "../../src/**/*.d.ts"],
    }),
  );
  run("node_modules/@bufbuild/buf/bin/buf", "generate");
});

test("the files of the README are those of its first screen and of its instructions", () => {
  assert.deepEqual(
    files.map(({ path }) => path),
    ["server.ts", "client.ts", "proto/greet/v1/greet.proto", "buf.gen.yaml"],
  );
  const lines = files.slice(0, 2).flatMap(({ code }) => code.trim().split("\n").slice(1));
  assert.ok(lines.filter((line) => line !== "").length < 25, "a first screen of under 25 lines");
});

test("all code of the README compiles under strict", () => {
  run("node_modules/typescript/bin/tsc", "-p", ".");
});

test("the client of the README gets its greeting from the server of the README", async () => {
  const server = start("server.ts");
  try {
    const ticket = await firstLine(server);
    assert.match(ticket, /^endpoint[a-z2-7]+$/);
    const client = start("client.ts", ticket);
    assert.equal(await firstLine(client), "Hello, Ada!");
  } finally {
    server.kill();
  }
});

test("the examples by task run and end", () => {
  const output = run("node_modules/tsx/dist/cli.mjs", "run-tasks.ts");
  assert.match(output, /Hello, Ada!\nHello, Grace!\n/);
  assert.match(output, /^HELLO$/m);
});

function codeBlocks(markdown: string): Block[] {
  const found: Block[] = [];
  let heading = "";
  for (const match of markdown.matchAll(/^#+ (.*)$|^```(\w*)\n([\s\S]*?)^```$/gm)) {
    const [, title, language, code] = match;
    if (title !== undefined) {
      heading = title;
    } else if (language !== undefined && code !== undefined) {
      found.push({ language, code, heading });
    }
  }
  return found;
}

/** An example as a function of what the README says is there. */
function taskModule(code: string): string {
  const lines = code.split("\n");
  let importing = false;
  const isImport = lines.map((line) => {
    importing ||= line.startsWith("import ");
    const inside = importing;
    importing &&= !line.endsWith(";");
    return inside;
  });
  return [
    ...lines.filter((_, index) => isImport[index]),
    `import type { Context } from "./run-tasks.ts";`,
    code.includes("import { createGreetClient, registerGreetService }")
      ? ""
      : `import { registerGreetService } from "./gen/greet/v1/greet_quic.js";`,
    "export async function task({ endpoint, router, ticket, client }: Context): Promise<void> {",
    "{",
    ...lines.filter((_, index) => !isImport[index]),
    "}",
    "}",
  ].join("\n");
}

/** Runs the examples, each on the peer that it is about. */
function taskRunner(): string {
  return `
import { createRouterTransport } from "@connectrpc/connect";
import { createPeerRouter, Endpoint, type PeerRouter } from "connect-quic";
import { createRendezvous, Rendezvous } from "connect-quic/rendezvous";
import { createGreetClient, type GreetClient, registerGreetService } from "./gen/greet/v1/greet_quic.js";
${tasks.map((_, index) => `import { task as task${index} } from "./task-${index}.ts";`).join("\n")}

export interface Context {
  readonly endpoint: Endpoint;
  readonly router: PeerRouter;
  readonly ticket: string;
  readonly client: GreetClient;
}

await using served = await Endpoint.bind({ bind: "127.0.0.1:0" });
await using router = createPeerRouter(served);
registerGreetService(router, {
  greet: ({ name }) => ({ greeting: \`Hello, \${name}!\` }),
  async *greetAll(requests) {
    for await (const { name } of requests) {
      yield { greeting: \`Hello, \${name}!\` };
    }
  },
});
await using place = createRendezvous();
place.routes(router);
const atPlace = new Rendezvous({ transport: createRouterTransport(place.routes) });
await using registration = atPlace.register(served, { services: ["greet.v1.GreetService"] });
await registration.ready();
await using endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
const ticket = served.ticket();
const calling: Context = { endpoint, router, ticket, client: createGreetClient(endpoint, ticket) };
const serving: Context = { ...calling, endpoint: served };
${tasks
  .map(({ code, heading }, index) => {
    const context = code.startsWith("// on the peer that serves") ? "serving" : "calling";
    return notRun.includes(heading) ? "" : `await task${index}(${context});`;
  })
  .join("\n")}
`;
}

function write(path: string, text: string): void {
  mkdirSync(dirname(join(project, path)), { recursive: true });
  writeFileSync(join(project, path), text);
}

/** Runs a script of this repository's packages in the project; returns what it printed. */
function run(script: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(root, script), ...args], {
    cwd: project,
    encoding: "utf8",
    timeout: 240_000,
    env: { ...process.env, PATH: `${root}node_modules/.bin${delimiter}${process.env.PATH}` },
  });
  assert.equal(status, 0, `${script} ${args.join(" ")}\n${stdout}${stderr}`);
  return stdout;
}

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, ["--import=tsx", ...args], {
    cwd: project,
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 240_000,
  });
}

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).once("line", resolve);
    }
    child.once("close", () => reject(new Error("it ended before it printed a line")));
  });
}
