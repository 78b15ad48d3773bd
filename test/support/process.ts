// A second process for tests: a TypeScript program of this repository that says on its first line where it is to be found,
// and ends when its stdin does.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { runTypeScript } from "./run-typescript.ts";

const root: string = fileURLToPath(new URL("../..", import.meta.url));

export interface ProgramOptions {
  readonly args?: readonly string[];
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** How long the first line may take, and later the end after `close()`. Milliseconds. Default 30_000. */
  readonly timeoutMs?: number;
}

/** A running program. Owned by who started it: `close()` it, or leave it to end with this process. */
export interface Program extends AsyncDisposable {
  readonly pid: number;
  /** The first line that it printed, parsed from JSON. */
  readonly greeting: unknown;
  /** What it has written to stderr so far. */
  stderr(): string;
  /** Closes its stdin and waits for its end. Rejects when it ends with a failure; kills it when it does not end. */
  close(): Promise<void>;
  /** Ends it without a chance to say goodbye. */
  kill(): Promise<void>;
  /** Sends SIGSTOP or SIGCONT: freezes and thaws it. */
  signal(name: "SIGSTOP" | "SIGCONT"): void;
}

/** Starts a program and waits for its first line. Rejects with its stderr when it ends before. */
export async function startProgram(file: URL, options: ProgramOptions = {}): Promise<Program> {
  const timeoutMs = options.timeoutMs ?? 30_000;
  const name = fileURLToPath(file);
  const child = spawn(process.execPath, [runTypeScript, name, ...(options.args ?? [])], {
    cwd: root,
    env: { ...process.env, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  // The program ends with its stdin, so with us; this is for one that does not notice.
  const killAtExit = (): void => {
    child.kill("SIGKILL");
  };
  process.once("exit", killAtExit);
  const ended = once(child, "close").finally(() => process.off("exit", killAtExit));
  ended.catch(() => {});
  // It may be gone when we write or close.
  child.stdin.on("error", () => {});
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const fail = (what: string): Error =>
    new Error(`${name} ${what}; stderr: ${stderr || "(empty)"}`);

  let greeting: unknown;
  try {
    greeting = JSON.parse((await within(timeoutMs, nextLine(child))) ?? "");
  } catch {
    child.kill("SIGKILL");
    await ended;
    throw fail("did not print a line of JSON");
  }

  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
  };
  const close = async (): Promise<void> => {
    child.stdin.end();
    const exit = await within(timeoutMs, ended);
    if (exit === undefined) {
      await kill();
      throw fail("did not end with its stdin");
    }
    const [code, signal] = exit;
    if (code !== 0 && signal !== "SIGKILL") {
      throw fail(`ended with ${signal ?? `exit code ${code}`}`);
    }
  };
  return {
    pid: child.pid ?? 0,
    greeting,
    stderr: () => stderr,
    close,
    kill,
    signal: (signalName) => {
      child.kill(signalName);
    },
    [Symbol.asyncDispose]: close,
  };
}

/**
 * The other side of `startProgram`, called by the program itself: says where it is to be found, and calls `close` when the
 * parent has closed our stdin or is gone.
 */
export function serveParent(greeting: unknown, close: () => Promise<void>): void {
  process.stdout.write(`${JSON.stringify(greeting)}\n`);
  process.stdin.resume();
  process.stdin.once("close", () => {
    // No exit when all went well: what `close` leaves behind would keep this process from ending, and the parent sees that.
    void close().catch((error: unknown) => {
      console.error(error);
      process.exit(1);
    });
  });
}

function nextLine(child: ChildProcess): Promise<string | undefined> {
  return new Promise((resolve) => {
    if (child.stdout === null) {
      return resolve(undefined);
    }
    const lines = createInterface({ input: child.stdout });
    lines.once("line", (line) => resolve(line));
    lines.once("close", () => resolve(undefined));
  });
}

/** Undefined when the promise takes too long. */
async function within<T>(timeoutMs: number, promise: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  try {
    return await Promise.race([late, promise]);
  } finally {
    clearTimeout(timer);
  }
}
