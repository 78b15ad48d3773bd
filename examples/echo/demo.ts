// `npm start`: generates the code, starts a server, lets a client make every kind of call to it, and stops the server.
// Exit code 0 when all of that worked.

import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Longer than any machine should need. */
const timeoutMs = 60_000;
const root = fileURLToPath(new URL("../..", import.meta.url));
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

const start = performance.now();
const running = new Set<ChildProcess>();
const watchdog = setTimeout(() => fail(`not done after ${timeoutMs / 1_000} s`), timeoutMs);
process.once("SIGINT", () => fail("interrupted"));

try {
  console.log("1. Code is generated from proto/echo/v1/echo.proto.\n");
  await ended("generate", run("generate", [`${root}scripts/generate.mjs`]));

  console.log("\n2. A process serves it: a peer with an id, and a ticket that says where it is.\n");
  const server = run("server", ["--import=tsx", here("server.ts"), "--bind", "127.0.0.1:0"]);
  const ticket = await printed(server, /^ticket\s+(\S+)$/);

  console.log("\n3. Another process calls it, knowing the ticket alone.\n");
  const options = ["--to", ticket, "--all", "--count", "3", "--verbose"];
  await ended("client", run("client", ["--import=tsx", here("client.ts"), ...options]));

  console.log("\n4. The server is told to stop.\n");
  server.kill("SIGTERM");
  await ended("server", server);
  console.log(`\nDone in ${((performance.now() - start) / 1_000).toFixed(1)} s.`);
} catch (error) {
  fail(error instanceof Error ? error.message : String(error));
} finally {
  clearTimeout(watchdog);
}

/** Starts a program; its lines are printed behind its name. */
function run(name: string, args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  child.once("exit", () => running.delete(child));
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on("line", (line) => console.log(`${name.padEnd(10)}${line}`));
  }
  return child;
}

/** Waits for a line that fits, and returns what the group in the pattern holds. */
function printed(child: ChildProcess, pattern: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on("line", (line) => {
        const found = pattern.exec(line)?.[1];
        if (found !== undefined) {
          resolve(found);
        }
      });
    }
    child.once("close", () => reject(new Error("server ended before it was ready")));
  });
}

/** Waits for the end of a program, and throws unless that is a good one. */
async function ended(name: string, child: ChildProcess): Promise<void> {
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>(
    (resolve, reject) => {
      child.once("error", reject);
      child.once("close", (...outcome) => resolve(outcome));
    },
  );
  if (code !== 0) {
    throw new Error(`${name} ended with ${signal ?? `exit code ${code}`}`);
  }
}

function fail(message: string): never {
  for (const child of running) {
    child.kill("SIGKILL");
  }
  console.error(`\nFailed: ${message}`);
  process.exit(1);
}
