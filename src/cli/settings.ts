import { readFile } from "node:fs/promises";
import { explain } from "./explain.ts";
import {
  type OptionSpec,
  type OptionTable,
  type OptionValues,
  parseOptions,
  quote,
} from "./option-table.ts";
import { UsageError } from "./usage-error.ts";

/** The option that names a file with values for the others. */
export const configOptionTable = {
  config: {
    type: "string",
    value: "<file>",
    help: "read options from this file: JSON, with the names of the options as keys",
  },
} as const;

/** The environment variable of an option: `--page-token` is `CONNECT_QUIC_PAGE_TOKEN`. */
export function variableOf(option: string): string {
  return `CONNECT_QUIC_${option.toUpperCase().replaceAll("-", "_")}`;
}

/**
 * Reads the options of a command that runs for long, each from the first place that has it: the command line, the
 * environment, a file (`--config`). In a variable, several values stand apart by blanks, and an empty one is none.
 * Rejects with {@link UsageError}.
 */
export async function readSettings<T extends OptionTable>(
  table: T & typeof configOptionTable,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<{ readonly values: OptionValues<T>; readonly positionals: readonly string[] }> {
  const { values: typed, positionals } = parseOptions<OptionTable>(table, args);
  const given: Record<string, unknown> = {};
  for (const [name, spec] of Object.entries<OptionSpec>(table)) {
    const text = env[variableOf(name)];
    given[name] = typed[name] ?? (text ? fromVariable(name, spec, text) : undefined);
  }
  const file = given.config;
  if (typeof file === "string") {
    for (const [name, value] of Object.entries(await readConfig(file))) {
      const spec = Object.hasOwn(table, name) && name !== "config" ? table[name] : undefined;
      if (spec === undefined) {
        const known = Object.keys(table).filter((option) => option !== "config");
        throw new UsageError(
          `${file}: unknown option ${quote(name)}: there are ${known.join(", ")}`,
        );
      }
      given[name] ??= fromFile(`${file}: ${name}`, spec, value);
    }
  }
  const values = Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined),
  );
  return { values: values as OptionValues<T>, positionals };
}

/** The options as a table in Markdown, for the documentation. */
export function settingsTable(table: OptionTable): string {
  const rows = Object.entries(table).map(([name, { help, multiple, value = "" }]) => {
    const text = help.replaceAll("\n", " ").replaceAll("|", "\\|").replaceAll("<", "&lt;");
    const several = multiple === true ? "; several" : "";
    return `| \`--${name}${value === "" ? "" : ` ${value}`}\` | \`${variableOf(name)}\` | ${text}${several} |`;
  });
  return ["| option | variable | |", "| --- | --- | --- |", ...rows].join("\n");
}

function fromVariable(name: string, spec: OptionSpec, text: string): unknown {
  if (spec.type === "boolean") {
    const value = booleans[text.toLowerCase()];
    if (value === undefined) {
      throw new UsageError(`${variableOf(name)} takes true or false, found ${quote(text)}`);
    }
    return value;
  }
  return spec.multiple === true ? text.split(/\s+/).filter((value) => value !== "") : text;
}

const booleans: Readonly<Record<string, boolean>> = {
  true: true,
  "1": true,
  false: false,
  "0": false,
};

function fromFile(where: string, spec: OptionSpec, value: unknown): unknown {
  const text = typeof value === "number" ? String(value) : value;
  const isText = (each: unknown): boolean => typeof each === "string";
  if (spec.type === "boolean" && typeof text === "boolean") {
    return text;
  }
  if (spec.type === "string" && spec.multiple === true) {
    const list = Array.isArray(text) ? text : [text];
    if (list.every(isText)) {
      return list;
    }
  } else if (spec.type === "string" && isText(text)) {
    return text;
  }
  const wanted =
    spec.type === "boolean"
      ? "true or false"
      : spec.multiple === true
        ? "a list of texts"
        : "a text";
  throw new UsageError(`${where}: takes ${wanted}, found ${quote(JSON.stringify(value))}`);
}

async function readConfig(file: string): Promise<object> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new UsageError(`cannot read --config ${file}: ${explain(error)}`);
  }
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    throw new UsageError(`cannot read --config ${file}: it is no object of JSON`);
  }
  return json;
}
