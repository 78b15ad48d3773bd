// Debian's redis-server, on a free port, with its data in a folder of its own that outlives a kill.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

/** Why there is none; undefined where there is. */
export const noRedis: string | undefined =
  spawnSync("redis-server", ["--version"]).status === 0
    ? undefined
    : "redis-server is not installed: apt-get install redis-server";

export class RedisProcess implements AsyncDisposable {
  readonly port: number;
  readonly #folder = mkdtempSync(join(tmpdir(), "connect-quic-redis-"));
  #child: ChildProcess | undefined;

  static async start(): Promise<RedisProcess> {
    const server = new RedisProcess(await freePort());
    await server.start();
    return server;
  }

  private constructor(port: number) {
    this.port = port;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /**
   * Starts it again, with the data that it had. What it has handed to the system outlives a kill, so that no test waits for
   * the disk.
   */
  async start(): Promise<void> {
    const child = spawn(
      "redis-server",
      [
        ...["--port", String(this.port), "--bind", "127.0.0.1", "--dir", this.#folder],
        ...["--appendonly", "yes", "--appendfsync", "no", "--save", ""],
      ],
      // Pipes of our own: one that outlives us is not to hold what the test's runner reads.
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#child = child;
    const killAtExit = (): void => {
      child.kill("SIGKILL");
    };
    process.once("exit", killAtExit);
    child.once("exit", () => process.off("exit", killAtExit));
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    let isReady = false;
    for await (const line of createInterface({ input: child.stdout })) {
      said += `${line}\n`;
      isReady = line.includes("Ready to accept connections");
      if (isReady) {
        break;
      }
    }
    if (!isReady) {
      throw new Error(`redis-server has ended before it was ready: ${said}`);
    }
    // What it says later has to go somewhere, or it waits for us.
    child.stdout.resume();
  }

  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  }

  signal(name: "SIGSTOP" | "SIGCONT"): void {
    this.#child?.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}
