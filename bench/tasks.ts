// What a client process can be told to do: the inner loops of the workloads, with their clock.

import type { Caller, Client, Conditions, Contestant } from "./contestant.ts";
import { median, quantile } from "./statistics.ts";

export type Task =
  /** Calls of so many bytes, as many at a time as there are callers. */
  | {
      readonly type: "call";
      readonly bytes: number;
      readonly callers: number;
      readonly milliseconds: number;
    }
  /** Calls, one after the other, in which messages of so many bytes go in a direction. */
  | {
      readonly type: "stream";
      readonly direction: "down" | "up" | "both";
      readonly messages: number;
      readonly bytes: number;
      readonly milliseconds: number;
    }
  /** Connections with a call on each, one after the other; "new": by a client that has never met the server. */
  | { readonly type: "dial"; readonly session: "new" | "resumed"; readonly count: number }
  /** Connections that stay, on which nothing goes on. */
  | { readonly type: "hold-connections"; readonly count: number }
  /** Streams that stay, on one connection. */
  | { readonly type: "hold-streams"; readonly count: number };

/** What a task has measured. Times of single calls in microseconds. */
export interface TaskResult {
  /** Calls, messages or connections. */
  readonly count: number;
  /** From the beginning of the first to the end of the last. */
  readonly seconds: number;
  readonly medianUs: number;
  readonly p99Us: number;
}

const small = new Uint8Array(100);

export class TaskRunner {
  readonly #contestant: Contestant;
  readonly #address: string;
  readonly #conditions: Conditions;
  readonly #client: Client;
  readonly #caller: Caller;
  readonly #held: Caller[] = [];

  private constructor(
    contestant: Contestant,
    address: string,
    conditions: Conditions,
    client: Client,
    caller: Caller,
  ) {
    this.#contestant = contestant;
    this.#address = address;
    this.#conditions = conditions;
    this.#client = client;
    this.#caller = caller;
  }

  /** Connects, and makes the first call. */
  static async connect(
    contestant: Contestant,
    address: string,
    conditions: Conditions,
  ): Promise<TaskRunner> {
    const client = await contestant.open(address, conditions);
    const caller = await client.connect();
    await caller.echo(small);
    return new TaskRunner(contestant, address, conditions, client, caller);
  }

  async run(task: Task): Promise<TaskResult> {
    switch (task.type) {
      case "call":
        return this.#call(task.callers, task.milliseconds, new Uint8Array(task.bytes));
      case "stream":
        return this.#stream(task);
      case "dial":
        return task.session === "new" ? this.#dialNew(task.count) : this.#dialAgain(task.count);
      case "hold-connections":
        return timed(task.count, async () => {
          const caller = await this.#client.connect();
          await caller.echo(small);
          this.#held.push(caller);
        });
      case "hold-streams":
        return timed(task.count, () => this.#caller.hold(small));
      default:
        return task satisfies never;
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#held, this.#caller].map((caller) => caller.close()));
    await this.#client.close();
  }

  async #call(callers: number, milliseconds: number, payload: Uint8Array): Promise<TaskResult> {
    const times: number[] = [];
    const start = performance.now();
    const end = start + milliseconds;
    const callInARow = async (): Promise<void> => {
      for (let before = performance.now(); before < end; ) {
        await this.#caller.echo(payload);
        const after = performance.now();
        times.push(after - before);
        before = after;
      }
    };
    await Promise.all(Array.from({ length: callers }, callInARow));
    return summary(times, start);
  }

  async #stream(task: Task & { readonly type: "stream" }): Promise<TaskResult> {
    const { direction, messages, milliseconds } = task;
    const payload = new Uint8Array(task.bytes);
    const play = {
      down: () => this.#caller.download(messages, payload.length),
      up: () => this.#caller.upload(messages, payload),
      both: () => this.#caller.chat(messages, payload),
    }[direction];
    const times: number[] = [];
    const start = performance.now();
    for (let before = start; before < start + milliseconds; ) {
      await play();
      const after = performance.now();
      times.push(after - before);
      before = after;
    }
    const result = summary(times, start);
    return { ...result, count: result.count * messages };
  }

  async #dialNew(count: number): Promise<TaskResult> {
    const times: number[] = [];
    const begin = performance.now();
    const closing: Promise<void>[] = [];
    for (let done = 0; done < count; done++) {
      const client = await this.#contestant.open(this.#address, this.#conditions);
      times.push(await firstCall(client));
      closing.push(client.close());
    }
    const result = summary(times, begin);
    await Promise.all(closing);
    return result;
  }

  async #dialAgain(count: number): Promise<TaskResult> {
    const client = await this.#contestant.open(this.#address, this.#conditions);
    await firstCall(client);
    const times: number[] = [];
    const begin = performance.now();
    for (let done = 0; done < count; done++) {
      times.push(await firstCall(client));
    }
    await client.close();
    return summary(times, begin);
  }
}

/** Milliseconds from nothing to the answer of the first call. The connection is closed afterwards. */
async function firstCall(client: Client): Promise<number> {
  const start = performance.now();
  const caller = await client.connect();
  await caller.echo(small);
  const end = performance.now();
  await caller.close();
  return end - start;
}

async function timed(count: number, step: () => Promise<void>): Promise<TaskResult> {
  const times: number[] = [];
  const begin = performance.now();
  for (let done = 0; done < count; done++) {
    const start = performance.now();
    await step();
    times.push(performance.now() - start);
  }
  return summary(times, begin);
}

/** `times`: of single calls, in milliseconds. */
function summary(times: number[], start: number): TaskResult {
  const seconds = (performance.now() - start) / 1_000;
  return {
    count: times.length,
    seconds,
    medianUs: median(times) * 1_000,
    p99Us: quantile(times, 0.99) * 1_000,
  };
}
