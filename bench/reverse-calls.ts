// What the two processes of bench/reverse.ts have in common.

import type { Client } from "@connectrpc/connect";
import type { EchoService } from "../gen/echo/v1/echo_pb.ts";

/** What the hub is told, a line of its stdin. */
export type HubCommand =
  /** Calls its peers, and answers with {@link CallsOutcome}. */
  | {
      readonly type: "call";
      /** Calls of each peer. */
      readonly each: number;
      /** Calls that are under way at a time, of all peers together. */
      readonly atOnce: number;
      /** The id of the only peer that is called. Default: all. */
      readonly of?: string;
    }
  /** Waits until so many peers can be called, at most so long, and answers with {@link Arrivals}. */
  | { readonly type: "await"; readonly peers: number; readonly timeoutMs: number }
  /** Answers with {@link HubUsage}. */
  | { readonly type: "usage"; readonly collectGarbage: boolean }
  /** Takes its leave of its peers. */
  | { readonly type: "stop" };

export interface CallsOutcome {
  readonly expected: number;
  readonly done: number;
  /** Texts of the first errors of the others. */
  readonly errors: readonly string[];
  readonly milliseconds: number;
}

/** Who can be called. */
export interface Arrivals {
  readonly peers: number;
  /** When each arrival was, in their order, counted from the moment when the hub listened. Milliseconds. */
  readonly arrivedMs: readonly number[];
}

export interface HubUsage {
  /** Of all its threads, so far. Milliseconds. */
  readonly processorMs: number;
  /** Of JavaScript, buffers and the QUIC core; without `collectGarbage`, 0. */
  readonly heldBytes: number;
  readonly residentBytes: number;
}

/** A call that has failed, or was answered with something else, is lost. */
export function echoCall(client: Client<typeof EchoService>, number: number): () => Promise<void> {
  const message = `${number}`.padStart(100, "x");
  return async () => {
    const answer = await client.echo({ message });
    if (answer.message !== message) {
      throw new Error("the answer is that of another call");
    }
  };
}

/** Makes calls in their order, so many at a time. */
export async function callInTurns(
  calls: readonly (() => Promise<void>)[],
  atOnce: number,
): Promise<CallsOutcome> {
  const queue = calls.values();
  const errors: string[] = [];
  let done = 0;
  const beganMs = performance.now();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const call of queue) {
        try {
          await call();
          done += 1;
        } catch (error) {
          errors.push(String(error));
        }
      }
    }),
  );
  const milliseconds = performance.now() - beganMs;
  return { expected: calls.length, done, errors: errors.slice(0, 5), milliseconds };
}

/** Processor time of all threads of this process. */
export function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}
