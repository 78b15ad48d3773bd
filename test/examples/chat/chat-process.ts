import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { runTypeScript } from "../../support/run-typescript.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

export interface ChatProcess {
  readonly child: ChildProcess;
  /** All lines so far, of stdout. */
  readonly lines: readonly string[];
  /** Resolves with the first group of the pattern, or else all of the line, for the first line of stdout that fits, past or to come. */
  seen(pattern: RegExp): Promise<string>;
  type(...lines: string[]): void;
  /** Ends what it reads. */
  endInput(): void;
  readonly ended: Promise<{ readonly code: number | null; readonly stderr: string }>;
}

/** Starts the chat of examples/; it is killed when the test ends. */
export function startChat(t: TestContext, ...args: readonly string[]): ChatProcess {
  const child = spawn(
    process.execPath,
    [runTypeScript, "examples/chat/main.ts", "--bind", "127.0.0.1:0", ...args],
    { cwd: root, stdio: ["pipe", "pipe", "pipe"] },
  );
  t.after(() => child.kill("SIGKILL"));
  const lines: string[] = [];
  const looks = new Set<() => void>();
  const look = (): void => {
    for (const each of [...looks]) {
      each();
    }
  };
  createInterface({ input: child.stdout }).on("line", (line) => {
    lines.push(line);
    look();
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  child.stdin.on("error", () => {});
  let isOver = false;
  const ended = new Promise<{ code: number | null; stderr: string }>((resolve) => {
    child.once("close", (code) => {
      isOver = true;
      look();
      resolve({ code, stderr });
    });
  });
  return {
    child,
    lines,
    ended,
    type: (...typed) => {
      child.stdin.write(typed.map((line) => `${line}\n`).join(""));
    },
    endInput: () => child.stdin.end(),
    seen: (pattern) =>
      new Promise((resolve, reject) => {
        const find = (): void => {
          for (const line of lines) {
            const found = pattern.exec(line);
            if (found !== null) {
              looks.delete(find);
              resolve(found[1] ?? line);
              return;
            }
          }
          if (isOver) {
            reject(new Error(`no line ${pattern} in ${JSON.stringify(lines)}: ${stderr}`));
          }
        };
        looks.add(find);
        find();
      }),
  };
}
