// Runs a command of `connect-quic` as a process that ends with this one.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { aborted } from "../echo/terminal.ts";

export interface ProgramOptions {
  /** What its lines on stderr begin with. */
  readonly name: string;
  /** The program `connect-quic`. */
  readonly main: string;
  readonly args: readonly string[];
  /** The first word of the line after which it is ready. */
  readonly readyAfter: string;
}

const lifeline = new URL("./end-with-parent.mjs", import.meta.url).href;
/** What it may take to tell others that it leaves. Milliseconds. */
const endTimeoutMs = 5_000;

export class RunningProgram {
  readonly name: string;
  readonly pid: number;
  /** Resolves with how it has ended, for people. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #values = new Map<string, string>();
  readonly #ready: Promise<void>;

  constructor({ name, main, args, readyAfter }: ProgramOptions) {
    const child = spawn(process.execPath, [`--import=${lifeline}`, main, ...args], {
      env: ownEnvironment(),
      stdio: ["pipe", "pipe", "pipe"],
      // Ctrl-C in a terminal goes to all of a group: this one is told by us alone.
      detached: true,
      windowsHide: true,
    });
    this.name = name;
    this.pid = child.pid ?? 0;
    this.#child = child;
    this.ended = new Promise((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("close", (code, signal) => resolve(signal ?? `exit code ${code}`));
    });
    child.stdin.on("error", () => {});
    createInterface({ input: child.stderr }).on("line", (line) =>
      console.error(`${name.padEnd(12)}${line}`),
    );
    this.#ready = new Promise((resolve) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        const [, what = "", value = ""] = /^(\S+) +(.*)$/.exec(line) ?? [];
        this.#values.set(what, value);
        if (what === readyAfter) {
          resolve();
        }
      });
    });
  }

  /** Resolves when it is ready. Rejects when it has ended before, and when the signal fires. */
  async ready(signal: AbortSignal): Promise<void> {
    const tooEarly = this.ended.then((how) => {
      throw new Error(`${this.name} has ended before it was ready: ${how}`);
    });
    await Promise.race([this.#ready, tooEarly, aborted(signal)]);
    signal.throwIfAborted();
  }

  /** What it has printed after a word. */
  value(what: string): string {
    return this.#values.get(what) ?? "";
  }

  /** Ends it as Ctrl-C does, and the hard way when that takes long. Resolves when it has ended. */
  async end(): Promise<void> {
    this.#child.stdin?.end();
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), endTimeoutMs);
    await this.ended;
    clearTimeout(timer);
  }
}

/** Without settings for a worker that somebody has made for others. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("CONNECT_QUIC_")),
  );
}
