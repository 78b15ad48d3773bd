import { spawn } from "node:child_process";

export interface CommandOptions {
  /** Goes to its stdin. Default: nothing. */
  readonly input?: string;
}

/**
 * Runs a program to its end and resolves with what it wrote to stdout. Rejects when it cannot be started or ends with a
 * failure, with what it wrote to stderr.
 */
export function runCommand(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const what = [command, ...args].join(" ");
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    // It may end without having read all.
    child.stdin.on("error", () => {});
    child.stdin.end(options.input ?? "");
    child.once("error", (cause) => reject(new Error(`cannot run ${what}`, { cause })));
    child.once("close", (code, signal) => {
      if (code === 0) {
        resolve(stdout);
      } else {
        const input = options.input === undefined ? "" : `, given\n${options.input}`;
        reject(new Error(`${what} ended with ${signal ?? code}: ${stderr.trim()}${input}`));
      }
    });
  });
}
