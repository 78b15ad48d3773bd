// What the programs of this example share: columns, numbers, Ctrl-C, and errors as one line.

import { Code, ConnectError } from "@connectrpc/connect";

/** What was typed makes no sense: the message is for the person who typed it. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Three digits are enough: `0.21 ms`, `4.81 ms`, `12.3 ms`, `1240 ms`. */
export function formatMs(ms: number): string {
  const digits = ms < 10 ? 2 : ms < 100 ? 1 : 0;
  return `${ms.toFixed(digits)} ms`;
}

/** `2.1 kB` */
export function formatBytes(bytes: number): string {
  return bytes < 1_000
    ? `${bytes} B`
    : bytes < 1_000_000
      ? `${(bytes / 1_000).toFixed(1)} kB`
      : `${(bytes / 1_000_000).toFixed(1)} MB`;
}

/** A line of a table: what it is about, what happened, and how long that took. */
export function printRow(label: string, text: string, ms?: number): void {
  const time = ms === undefined ? "" : formatMs(ms).padStart(10);
  console.log(`${label.padEnd(14)}${text.padEnd(46)}${time}`.trimEnd());
}

/** Fires at the first Ctrl-C (or SIGTERM); the second one ends the process the hard way. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.once(name, () => controller.abort());
  }
  return controller.signal;
}

/** Resolves when the signal fires. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
    } else {
      signal.addEventListener("abort", () => resolve(), { once: true });
    }
  });
}

/** A whole number above zero that was typed after `option`; undefined when it was not given. */
export function positiveInteger(option: string, text: string | undefined): number | undefined {
  if (text !== undefined && !/^[1-9][0-9]{0,8}$/.test(text)) {
    throw new UsageError(
      `--${option} takes a whole number above zero, not ${JSON.stringify(text)}`,
    );
  }
  return text === undefined ? undefined : Number(text);
}

/**
 * Runs a program and sets the exit code: 0 when it ends, 130 when it was interrupted, 2 when what was typed cannot work,
 * and 1 when something failed. An error is one line on stderr.
 */
export async function runProgram(
  name: string,
  main: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const signal = interruptSignal();
  try {
    await main(signal);
  } catch (error) {
    if (signal.aborted) {
      process.exitCode = 130;
      return;
    }
    console.error(`${name}: ${explain(error)}`);
    process.exitCode = isUsageError(error) ? 2 : 1;
  }
}

function explain(error: unknown): string {
  if (error instanceof ConnectError) {
    return `${error.rawMessage} (${Code[error.code]})`;
  }
  if (isParseArgsError(error)) {
    // What follows the first sentence is advice on parsing.
    return `${error.message.split(/\n|\. /)[0]} (--help says more)`;
  }
  return error instanceof Error ? error.message : String(error);
}

function isUsageError(error: unknown): boolean {
  return (
    error instanceof UsageError ||
    isParseArgsError(error) ||
    // A ticket that is none.
    (error instanceof ConnectError && error.code === Code.InvalidArgument)
  );
}

function isParseArgsError(error: unknown): error is TypeError {
  return (
    error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS")
  );
}
