// The two processes of a contestant, as the runner sees them.

import { type ChildProcess, spawn } from "node:child_process";
import type { Conditions } from "./contestant.ts";
import type { Task, TaskResult } from "./tasks.ts";
import type { Usage } from "./usage.ts";
import type { Answer, Question } from "./worker.ts";

/** How the processes are started. */
export interface PairOptions {
  readonly contestant: string;
  readonly conditions: Conditions;
  /** The compiled `worker.ts`. */
  readonly program: string;
  /** Options of Node.js for both. */
  readonly nodeOptions: readonly string[];
  /** In a network namespace in which there is nothing else. See {@link canIsolate}. */
  readonly isolated: boolean;
}

/** A server process, and a client process that has made its first call. */
export class Pair {
  readonly #options: PairOptions;
  readonly #server: Worker;
  readonly #client: Worker;
  readonly #address: string;

  private constructor(options: PairOptions, server: Worker, client: Worker, address: string) {
    this.#options = options;
    this.#server = server;
    this.#client = client;
    this.#address = address;
  }

  static async start(options: PairOptions): Promise<Pair> {
    const server = Worker.start(options, ["server"]);
    try {
      const { address } = await server.next("ready");
      const client = Worker.start(options, ["client", address], server.pid);
      try {
        await client.next("ready");
        return new Pair(options, server, client, address);
      } catch (error) {
        client.close();
        throw error;
      }
    } catch (error) {
      server.close();
      throw error;
    }
  }

  async play(task: Task): Promise<TaskResult> {
    return (await this.#client.ask({ type: "task", task }, "result")).result;
  }

  async usage(): Promise<{ readonly client: Usage; readonly server: Usage }> {
    const [client, server] = await Promise.all(
      [this.#client, this.#server].map((worker) => worker.ask({ type: "usage" }, "usage")),
    );
    if (client === undefined || server === undefined) {
      throw new Error("unreachable");
    }
    return { client: client.usage, server: server.usage };
  }

  /** Starts one more client, and resolves with the milliseconds from its start to the answer of its first call. */
  async startClient(): Promise<number> {
    const client = Worker.start(this.#options, ["client", this.#address], this.#server.pid);
    try {
      return (await client.next("ready")).milliseconds;
    } finally {
      client.close();
    }
  }

  close(): void {
    this.#client.close();
    this.#server.close();
  }
}

/** Above all that a round may take. */
const answerTimeoutMs = 120_000;

type AnswerOf<T extends Answer["type"]> = Extract<Answer, { readonly type: T }>;

class Worker {
  /** So that nothing outlives a runner that ends in a hurry. */
  static readonly #all = new Set<ChildProcess>();
  readonly #child: ChildProcess;
  readonly #name: string;

  static {
    process.once("exit", () => {
      for (const child of Worker.#all) {
        child.kill("SIGKILL");
      }
    });
  }

  private constructor(child: ChildProcess, name: string) {
    this.#child = child;
    this.#name = name;
    Worker.#all.add(child);
    child.once("exit", () => Worker.#all.delete(child));
  }

  /** `neighbour`: the process whose network it is to share, where that is isolated. */
  static start(
    { contestant, conditions, program, nodeOptions, isolated }: PairOptions,
    [role, ...rest]: readonly string[],
    neighbour?: number,
  ): Worker {
    const node = [
      process.execPath,
      ...nodeOptions,
      program,
      String(role),
      contestant,
      JSON.stringify(conditions),
      ...rest,
    ];
    const [command = "", ...args] = isolated ? isolate(node, neighbour) : node;
    const stdio = ["ignore", "inherit", "inherit", "ipc"] as const;
    const child = spawn(command, args, { stdio: [...stdio] });
    return new Worker(child, `the ${role} of ${contestant}`);
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  ask<T extends Answer["type"]>(question: Question, type: T): Promise<AnswerOf<T>> {
    this.#child.send(question);
    return this.next(type);
  }

  next<T extends Answer["type"]>(type: T): Promise<AnswerOf<T>> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        clearTimeout(timer);
        this.#child.off("message", heard).off("exit", ended).off("error", failed);
      };
      const fail = (why: string): void => {
        stop();
        reject(new Error(`${this.#name}: ${why}`));
      };
      const failed = (error: Error): void => fail(error.message);
      const ended = (code: number | null, signal: string | null): void =>
        fail(`ended with ${signal ?? `exit code ${code}`}`);
      const heard = (answer: Answer): void => {
        if (answer.type === type) {
          stop();
          resolve(answer as AnswerOf<T>);
        } else {
          fail(answer.type === "failed" ? answer.message : `unexpected ${answer.type}`);
        }
      };
      const timer = setTimeout(() => fail("no answer"), answerTimeoutMs);
      this.#child.on("message", heard).on("exit", ended).on("error", failed);
    });
  }

  close(): void {
    if (this.#child.connected) {
      this.#child.disconnect();
    }
  }
}

/**
 * The command in a network namespace of its own, or in that of a process which is in one. The namespace of users around it
 * is what lets everybody do that who is not root.
 */
function isolate(command: readonly string[], neighbour: number | undefined): readonly string[] {
  return neighbour === undefined
    ? [
        ...["unshare", "--user", "--map-root-user", "--net", "--"],
        ...["sh", "-c", 'ip link set lo up && exec "$@"', "sh"],
        ...command,
      ]
    : [
        ...["nsenter", "--target", String(neighbour), "--user", "--net"],
        ...["--preserve-credentials", "--", ...command],
      ];
}

/** Why processes cannot have a network of their own here; undefined where they can. */
export function canIsolate(): Promise<string | undefined> {
  const reason = "needs Linux with unshare, nsenter and ip";
  const [command = "", ...args] = isolate(["true"], undefined);
  return new Promise((resolve) => {
    spawn(command, args, { stdio: "ignore" })
      .once("error", () => resolve(reason))
      .once("exit", (code) => resolve(code === 0 ? undefined : reason));
  });
}
