import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { AsyncQueue } from "../../../src/base/async-queue.ts";

/** What a program of another stack says: a line of JSON for each thing that happened to it. */
export interface Line {
  readonly event: string;
  readonly [name: string]: unknown;
}

/** A program of another stack under test. It ends when its stdin does. */
export class ForeignProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines = new AsyncQueue<Line>();
  readonly #ended: Promise<unknown>;
  readonly #name: string;

  /** Starts a program and waits for the first thing that it says. */
  static async start(
    command: string,
    args: readonly string[],
    event: string,
  ): Promise<{ process: ForeignProcess; line: Line }> {
    const process = new ForeignProcess(command, args);
    try {
      return { process, line: await process.expect(event) };
    } catch (error) {
      await process[Symbol.asyncDispose]().catch(() => {});
      throw error;
    }
  }

  private constructor(command: string, args: readonly string[]) {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    this.#name = args.join(" ");
    this.#ended = once(child, "close");
    this.#ended.catch(() => {});
    child.on("error", () => {});
    // It may be gone when we write.
    child.stdin.on("error", () => {});
    const lines = createInterface({ input: child.stdout });
    lines.on("line", (line) => this.#lines.push(JSON.parse(line)));
    lines.on("close", () => this.#lines.end());
  }

  /** The next thing that happens. Rejects when it is none of these, or the program has ended. */
  async expect(...events: readonly string[]): Promise<Line> {
    const line = await this.#lines.next();
    if (line === undefined || !events.includes(line.event)) {
      const found = line === undefined ? "the end" : JSON.stringify(line).slice(0, 1_000);
      throw new Error(`${this.#name}: expected ${events.join(" or ")}, got ${found}`);
    }
    return line;
  }

  /** The next things that happen, in whatever order. Rejects as {@link expect} does. */
  async expectAll(events: readonly string[]): Promise<readonly (Line | undefined)[]> {
    const lines = new Map<string, Line>();
    while (lines.size < events.length) {
      const line = await this.#lines.next();
      if (line === undefined || !events.includes(line.event) || lines.has(line.event)) {
        const found = line === undefined ? "the end" : JSON.stringify(line).slice(0, 1_000);
        throw new Error(`${this.#name}: expected ${events.join(" and ")}, got ${found}`);
      }
      lines.set(line.event, line);
    }
    return events.map((event) => lines.get(event));
  }

  /** Writes a line to its stdin. */
  say(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill();
    await this.#ended;
  }
}
