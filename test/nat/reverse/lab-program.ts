import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { runTypeScript } from "../../support/run-typescript.ts";
import type { LabNetwork } from "../lab/lab-network.ts";
import type { HostName } from "../lab/topology.ts";

const root: string = fileURLToPath(new URL("../../..", import.meta.url));
/** Any line comes within seconds, but on a machine that has too much to do. */
const lineTimeoutMs = 120_000;

/** A program of `examples/` on a host of a laboratory. It ends with the network. */
export class LabProgram {
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  #read = 0;
  #wake: () => void = () => {};
  #ended = false;
  #stderr = "";

  constructor(network: LabNetwork, host: HostName, name: string, args: readonly string[]) {
    const program = `examples/${name}.ts`;
    const child = network.spawn(host, process.execPath, [runTypeScript, program, ...args], {
      cwd: root,
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#name = name;
    this.#child = child;
    // It may be gone when we write.
    child.stdin?.on("error", () => {});
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-10_000);
    });
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", (line) => {
        this.#lines.push(line);
        this.#wake();
      });
    }
    child.once("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** The next line that matches, or what its group holds. Rejects when it ends before, or takes too long. */
  async line(pattern: RegExp): Promise<string> {
    const fail = (what: string): Error =>
      new Error(
        `${this.#name} ${what}, no line ${pattern}: ${this.#lines.join("; ")} ${this.#stderr}`,
      );
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#wake();
    }, lineTimeoutMs);
    try {
      for (;;) {
        for (; this.#read < this.#lines.length; ) {
          const found = pattern.exec(this.#lines[this.#read++] ?? "");
          if (found !== null) {
            return found[1] ?? found[0];
          }
        }
        if (this.#ended || isLate) {
          throw fail(this.#ended ? "has ended" : `took ${lineTimeoutMs} ms`);
        }
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }

  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  /** With Ctrl-C. */
  async stop(): Promise<void> {
    if (!this.#ended) {
      this.#child.kill("SIGINT");
      await once(this.#child, "close");
    }
  }
}
