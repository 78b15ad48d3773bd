import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { FieldSection } from "../../../src/http3/qpack/field.ts";

const environment = fileURLToPath(new URL("../../../.cache/python/pylsqpack", import.meta.url));
const python = join(environment, "bin/python");
const program = fileURLToPath(new URL("peer.py", import.meta.url));
const requirement = "pylsqpack>=0.3,<2";

/** Makes a Python environment with pylsqpack, if there is none yet. Returns what stands against it, if anything does. */
export function preparePylsqpack(): string | undefined {
  if (existsSync(python) && spawnSync(python, ["-c", "import pylsqpack"]).status === 0) {
    return undefined;
  }
  rmSync(environment, { recursive: true, force: true });
  const install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement];
  const steps: readonly (readonly [string, readonly string[], string])[] = [
    ["python3", ["--version"], "Python 3 is not installed (python3)"],
    [
      "python3",
      ["-m", "venv", environment],
      "Python's venv module is not installed (python3-venv)",
    ],
    [python, ["-m", "pip", "--version"], "Python's pip is not installed (python3-pip)"],
    [python, install, `pip cannot install ${requirement}`],
  ];
  for (const [command, args, missing] of steps) {
    const { status, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: 120_000 });
    if (status !== 0) {
      rmSync(environment, { recursive: true, force: true });
      return [missing, stderr?.trim().split("\n").at(-1)].filter(Boolean).join(": ");
    }
  }
  return undefined;
}

interface DecodedSection {
  readonly fields: FieldSection;
  /** For our encoder. */
  readonly answer: string;
}

/** ls-qpack in a process of its own. Bytes are text, one char per byte. Methods reject when it refuses its input. */
export class Pylsqpack {
  readonly #process: ChildProcess;
  readonly #waiting: ((line: string) => void)[] = [];
  #ended = false;

  constructor() {
    const child = spawn(python, [program], { stdio: ["pipe", "pipe", "inherit"] });
    createInterface(child.stdout).on("line", (line) => this.#waiting.shift()?.(line));
    child.once("close", () => {
      this.#ended = true;
      for (const answer of this.#waiting.splice(0)) {
        answer('{"error":"the Python process has ended"}');
      }
    });
    this.#process = child;
  }

  /** Takes new ones of both. */
  reset(limits: {
    maxTableCapacity: number;
    blockedStreams: number;
  }): Promise<{ instructions: string }> {
    return this.#call("reset", limits.maxTableCapacity, limits.blockedStreams);
  }

  decode(
    streamId: number,
    section: Uint8Array,
  ): Promise<(DecodedSection & { type: "fields" }) | { type: "blocked" }> {
    return this.#call("decode", streamId, textOf(section));
  }

  instruct(
    instructions: Uint8Array,
  ): Promise<{ unblocked: (DecodedSection & { streamId: number })[] }> {
    return this.#call("instruct", textOf(instructions));
  }

  cancel(streamId: number): Promise<{ answer: string }> {
    return this.#call("cancel", streamId);
  }

  encode(
    streamId: number,
    fields: FieldSection,
  ): Promise<{ instructions: string; section: string }> {
    return this.#call("encode", streamId, fields);
  }

  async acknowledge(answer: Uint8Array): Promise<void> {
    await this.#call("acknowledge", textOf(answer));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) {
      const closed = new Promise((resolve) => this.#process.once("close", resolve));
      this.#process.stdin?.end();
      await closed;
    }
  }

  async #call<T>(operation: string, ...args: unknown[]): Promise<T> {
    if (this.#ended) {
      throw new Error(`pylsqpack cannot ${operation}: the Python process has ended`);
    }
    const line = await new Promise<string>((resolve) => {
      this.#waiting.push(resolve);
      this.#process.stdin?.write(`${JSON.stringify([operation, args])}\n`);
    });
    const answer = JSON.parse(line);
    if (answer.error !== undefined) {
      throw new Error(`pylsqpack cannot ${operation}: ${answer.error}`);
    }
    return answer;
  }
}

export function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
