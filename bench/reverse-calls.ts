// What the two processes of bench/reverse.ts have in common.

import { median } from "./statistics.ts";

/** What the hub is told. */
export interface HubCommand {
  /** Calls of each peer. */
  readonly each: number;
  /** Calls that are under way at a time, of all peers together. */
  readonly atOnce: number;
  /** Memory is to be told. */
  readonly memory?: boolean;
  /** The id of the only peer that is called. Default: all. */
  readonly of?: string;
}

export interface CallsOutcome {
  readonly done: number;
  /** Texts of the errors of the others. */
  readonly errors: readonly string[];
  readonly milliseconds: number;
  readonly medianUs: number;
}

export interface HubMemory {
  /** Of JavaScript and WebAssembly, after a garbage collection. */
  readonly heldBytes: number;
  readonly residentBytes: number;
}

/** What the hub says. */
export interface HubReport extends CallsOutcome {
  readonly peers: number;
  /** When it was asked for. */
  readonly memory: HubMemory | undefined;
}

/** Makes calls in their order, so many at a time. */
export async function callInTurns(
  calls: readonly (() => Promise<unknown>)[],
  atOnce: number,
): Promise<CallsOutcome> {
  const queue = calls.values();
  const times: number[] = [];
  const errors: string[] = [];
  const beganMs = performance.now();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const call of queue) {
        const startMs = performance.now();
        try {
          await call();
          times.push((performance.now() - startMs) * 1_000);
        } catch (error) {
          errors.push(String(error));
        }
      }
    }),
  );
  return {
    done: times.length,
    errors,
    milliseconds: performance.now() - beganMs,
    medianUs: times.length === 0 ? Number.NaN : median(times),
  };
}
