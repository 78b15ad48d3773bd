import { type ParseArgsConfig, parseArgs } from "node:util";
import { UsageError } from "./usage-error.ts";

/** An option as `parseArgs` of node:util wants it, and what its help says. */
export interface OptionSpec {
  readonly type: "string" | "boolean";
  readonly multiple?: boolean;
  /** What stands behind its name: `<file>`. */
  readonly value?: string;
  readonly help: string;
}

export type OptionTable = Readonly<Record<string, OptionSpec>>;

/** The values of a table's options by name; undefined for those that were not given, lists for those that take several. */
export type OptionValues<T extends OptionTable> = ReturnType<
  typeof parseArgs<{ readonly options: T }>
>["values"];

/** Reads the arguments of a command. Throws {@link UsageError} that says what there is. */
export function parseOptions<T extends OptionTable>(
  options: T,
  args: readonly string[],
): { readonly values: OptionValues<T>; readonly positionals: readonly string[] } {
  const config = { options, args: [...args], allowPositionals: true, strict: true } as const;
  try {
    return parseArgs(config satisfies ParseArgsConfig) as ReturnType<typeof parseOptions<T>>;
  } catch (error) {
    throw usageErrorOf(error, options);
  }
}

/** A line for each option. */
export function optionsHelp(options: OptionTable): string[] {
  const rows = Object.entries(options).map(([name, { value, help, multiple }]) => ({
    name: `--${name}${value === undefined ? "" : ` ${value}`}`,
    help: multiple === true ? `${help} (repeatable)` : help,
  }));
  const width = Math.max(...rows.map(({ name }) => name.length)) + 2;
  return rows.map(
    ({ name, help }) =>
      `  ${name.padEnd(width)}${help.replaceAll("\n", `\n${" ".repeat(width + 2)}`)}`,
  );
}

/** A whole number of 1 or more. Throws {@link UsageError}. */
export function countOf(name: string, text: string): number {
  const count = Number(text);
  if (!/^[0-9]+$/.test(text) || count < 1 || !Number.isSafeInteger(count)) {
    throw new UsageError(`--${name} takes a whole number above zero, found ${quote(text)}`);
  }
  return count;
}

/** Seconds as milliseconds; undefined for undefined. Throws {@link UsageError} below `least` and above a day. */
export function secondsOf(
  name: string,
  text: string | undefined,
  least: number,
): number | undefined {
  if (text === undefined) {
    return undefined;
  }
  const seconds = Number(text);
  if (!/^[0-9]*\.?[0-9]+$/.test(text) || seconds < least || seconds > secondsPerDay) {
    throw new UsageError(
      `--${name} takes seconds from ${least} to ${secondsPerDay}, found ${quote(text)}`,
    );
  }
  return seconds * 1_000;
}

/** What somebody typed, for a message. */
export function quote(text: string): string {
  return JSON.stringify(text.length <= maxQuoted ? text : `${text.slice(0, maxQuoted)}…`);
}

function usageErrorOf(error: unknown, options: OptionTable): unknown {
  const code = error instanceof TypeError && "code" in error ? String(error.code) : "";
  if (!(error instanceof TypeError) || !code.startsWith("ERR_PARSE_ARGS")) {
    return error;
  }
  if (code === "ERR_PARSE_ARGS_UNKNOWN_OPTION") {
    const unknown = /'(.*?)'/.exec(error.message)?.[1] ?? "";
    const known = Object.keys(options).map((name) => `--${name}`);
    return new UsageError(`unknown option ${unknown}: there are ${known.join(", ")}`);
  }
  // What follows the first sentence is advice on parsing.
  const [problem = ""] = error.message.split(/\n|\. /);
  return new UsageError(`${problem.charAt(0).toLowerCase()}${problem.slice(1)}`);
}

const maxQuoted = 60;
const secondsPerDay = 86_400;
