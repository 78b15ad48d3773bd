// Programs as people run them in a terminal: what they print, and how they end.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { runTypeScript } from "./run-typescript.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

export interface Ended {
  /** Null after a signal that it did not handle. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Types a line, and Enter. */
  type(line: string): void;
  /** Resolves with the first group of the pattern, or else all of the line, for the first line on stdout or stderr that fits. */
  line(pattern: RegExp): Promise<string>;
}

/** Starts a TypeScript program of this repository, by its path from the root. It is killed after five minutes. */
export function startInTerminal(file: string, ...args: readonly string[]): Running {
  const child = spawn(process.execPath, [runTypeScript, file, ...args], {
    cwd: root,
    stdio: ["pipe", "pipe", "pipe"],
    timeout: 300_000,
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    output.stderr += text;
  });
  // It may be gone when something is typed.
  child.stdin.on("error", () => {});
  return {
    child,
    type: (line) => {
      child.stdin.write(`${line}\n`);
    },
    ended: new Promise((resolve) => child.once("close", (code) => resolve({ code, ...output }))),
    line: (pattern) =>
      new Promise((resolve, reject) => {
        for (const input of [child.stdout, child.stderr]) {
          createInterface({ input }).on("line", (line) => {
            const found = pattern.exec(line);
            if (found !== null) {
              resolve(found[1] ?? line);
            }
          });
        }
        child.once("close", () => reject(new Error(`no line ${pattern}: ${output.stderr}`)));
      }),
  };
}
