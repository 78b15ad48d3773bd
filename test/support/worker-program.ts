// Workers as people run them: `connect-quic worker` as it is built, page included, each in a process of its own.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { PageModel } from "../../src/worker/page/page-model.ts";
import { WorkerConsole } from "./worker-console.ts";

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

  /** Starts a place of rendezvous on loopback, and waits until it is there. */
  startPlace(args: readonly string[] = []): Promise<RunningPlace> {
    return RunningPlace.start(join(this.folder, "src/cli/main.js"), args);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A command of the program in a process of its own, which prints lines with a name and a value. */
class RunningCommand implements AsyncDisposable {
  readonly lines: ReadonlyMap<string, string>;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  readonly #told: { text: string };

  protected constructor(started: StartedCommand) {
    this.lines = started.lines;
    this.#child = started.child;
    this.#closed = started.closed;
    this.#told = started.told;
  }

  /** What it has printed to stderr so far. */
  get told(): string {
    return this.#told.text;
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

interface StartedCommand {
  readonly child: ChildProcess;
  readonly closed: Promise<unknown>;
  readonly lines: ReadonlyMap<string, string>;
  readonly told: { text: string };
}

/** Resolves when it has printed its ticket. Rejects with its stderr when it ends before. */
async function startCommand(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<StartedCommand> {
  const child = spawn(process.execPath, [program, ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const kill = (): void => {
    child.kill("SIGKILL");
  };
  process.once("exit", kill);
  const closed = once(child, "close").finally(() => process.off("exit", kill));
  const told = { text: "" };
  child.stderr.setEncoding("utf8").on("data", (text) => {
    told.text += text;
  });
  const lines = new Map<string, string>();
  for await (const line of createInterface({ input: child.stdout })) {
    const [, name = "", value = ""] = /^(\S+) +(.*)$/.exec(line) ?? [];
    lines.set(name, value);
    if (name === "ticket") {
      // What else it prints is not waited for, and keeps nothing open.
      child.stdout.resume();
      return { child, closed, lines, told };
    }
  }
  await closed;
  throw new Error(`${args[0]} ended with ${child.exitCode}: ${told.text}`);
}

export class RunningPlace extends RunningCommand {
  readonly url: string = this.lines.get("rendezvous") ?? "";
  readonly id: string = this.lines.get("id") ?? "";
  readonly ticket: string = this.lines.get("ticket") ?? "";

  static async start(program: string, args: readonly string[]): Promise<RunningPlace> {
    const listen = args.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
    const bind = args.includes("--bind") ? [] : ["--bind", "127.0.0.1:0"];
    const dev = args.includes("--tls-cert") ? [] : ["--dev"];
    const all = ["rendezvous", ...dev, ...listen, ...bind, ...args];
    return new RunningPlace(await startCommand(program, all, {}));
  }
}

export class RunningWorker extends RunningCommand {
  /** With the token, if there is one; empty without a page. */
  readonly page: string = this.lines.get("page") ?? "";
  readonly id: string = this.lines.get("id") ?? "";
  readonly ticket: string = this.lines.get("ticket") ?? "";

  static async start(
    program: string,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
  ): Promise<RunningWorker> {
    const bind = args.includes("--bind") ? [] : ["--bind", "127.0.0.1:0"];
    return new RunningWorker(await startCommand(program, ["worker", ...bind, ...args], env));
  }

  /** Calls to it as its page makes them. */
  get console(): WorkerConsole["client"] {
    return new WorkerConsole(this.page).client;
  }

  /** Watches it until there is what `find` looks for in its state. */
  until<T>(find: (model: PageModel) => T | undefined | false): Promise<T> {
    return new WorkerConsole(this.page).until(find);
  }
}
