import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { runTypeScript } from "../test/support/run-typescript.ts";

/** A program of this folder that takes a line of JSON and answers with one. Ends with its stdin, so with us. */
export class LineProcess<Command = unknown> {
  readonly child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /** @param nodeOptions for Node.js itself, such as `--cpu-prof` */
  constructor(file: string, args: readonly string[] = [], nodeOptions: readonly string[] = []) {
    const program = fileURLToPath(new URL(file, import.meta.url));
    const child = spawn(process.execPath, [...nodeOptions, runTypeScript, program, ...args], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    // Not inherited: nobody is to wait for the output of a program that outlives us for a moment.
    child.stderr.pipe(process.stderr, { end: false });
    // It may be gone when we write.
    child.stdin.on("error", () => {});
    this.child = child;
    this.#lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async read<Answer>(): Promise<Answer> {
    const { value, done } = await this.#lines.next();
    if (done === true) {
      throw new Error("a process has ended");
    }
    return JSON.parse(value) as Answer;
  }

  ask<Answer>(command: Command): Promise<Answer> {
    this.child.stdin?.write(`${JSON.stringify(command)}\n`);
    return this.read<Answer>();
  }

  async end(): Promise<void> {
    this.child.stdin?.end();
    await this.#exit();
  }

  /** Without a chance to say goodbye. */
  async kill(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.#exit();
  }

  async #exit(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      await once(this.child, "exit");
    }
  }
}

/** The other side: answers each line, in their order, and ends the process with its stdin. */
export async function answerLines<Command>(
  answer: (command: Command) => Promise<unknown>,
): Promise<never> {
  process.stdin.once("end", () => process.exit());
  for await (const line of createInterface(process.stdin)) {
    console.log(JSON.stringify((await answer(JSON.parse(line) as Command)) ?? {}));
  }
  process.exit();
}
