// Workers as people run them: `connect-quic worker` as it is built, page included, each in a process of its own.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import {
  ConsoleService,
  type WatchResponse,
} from "../../src/worker/gen/connectquic/worker/v1/console_pb.js";
import { PageModel } from "../../src/worker/page/page-model.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** The program, in a folder of its own until it is disposed of. */
export class WorkerProgram implements Disposable {
  /** For files of tests, too. */
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static build(): WorkerProgram {
    const folder = mkdtempSync(join(tmpdir(), "connect-quic-worker-"));
    // What it imports by name, and its version.
    for (const name of ["node_modules", "package.json"]) {
      symlinkSync(join(root, name), join(folder, name));
    }
    execFileSync(process.execPath, ["scripts/bundle.mjs", folder, "src/cli/main.ts"], {
      cwd: root,
    });
    return new WorkerProgram(folder);
  }

  /** Starts a worker on loopback, and waits until it is there. Rejects with its stderr when it ends before. */
  start(
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
  ): Promise<RunningWorker> {
    return RunningWorker.start(join(this.folder, "src/cli/main.js"), args, env);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export class RunningWorker implements AsyncDisposable {
  /** With the token, if there is one; empty without a page. */
  readonly page: string;
  readonly id: string;
  readonly ticket: string;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;

  private constructor(
    child: ChildProcess,
    closed: Promise<unknown>,
    lines: ReadonlyMap<string, string>,
  ) {
    this.#child = child;
    this.#closed = closed;
    this.page = lines.get("page") ?? "";
    this.id = lines.get("id") ?? "";
    this.ticket = lines.get("ticket") ?? "";
  }

  static async start(
    program: string,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
  ): Promise<RunningWorker> {
    const child = spawn(
      process.execPath,
      [program, "worker", ...(args.includes("--bind") ? [] : ["--bind", "127.0.0.1:0"]), ...args],
      { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] },
    );
    const kill = (): void => {
      child.kill("SIGKILL");
    };
    process.once("exit", kill);
    const closed = once(child, "close").finally(() => process.off("exit", kill));
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text;
    });
    const lines = new Map<string, string>();
    // The last line, after which stdout is left open and nothing more is said.
    for await (const line of createInterface({ input: child.stdout })) {
      const [, name = "", value = ""] = /^(\S+) +(.*)$/.exec(line) ?? [];
      lines.set(name, value);
      if (name === "ticket") {
        return new RunningWorker(child, closed, lines);
      }
    }
    await closed;
    throw new Error(`the worker ended with ${child.exitCode}: ${stderr}`);
  }

  /** Calls to it as its page makes them. */
  get console(): Client<typeof ConsoleService> {
    return createClient(
      ConsoleService,
      createConnectTransport({ baseUrl: new URL(this.page).origin, httpVersion: "1.1" }),
    );
  }

  /** Watches it until there is what `find` looks for in its state. */
  async until<T>(find: (model: PageModel) => T | undefined | false): Promise<T> {
    const model = new PageModel();
    const ending = new AbortController();
    try {
      for await (const changes of this.console.watch({}, { signal: ending.signal })) {
        model.apply(changes as WatchResponse);
        const found = find(model);
        if (found !== undefined && found !== false) {
          return found;
        }
      }
    } finally {
      ending.abort();
    }
    throw new Error("the worker has ended");
  }

  /** Ends it without a chance to say goodbye. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
  }

  /** Ends it as Ctrl-C does. Resolves with the exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill("SIGINT");
    await this.#closed;
    return this.#child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}
