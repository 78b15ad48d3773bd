import type { Ability, Conditions } from "./contestant.ts";
import type { Pair } from "./pair.ts";

/** What is measured, on one pair of processes at a time. */
export interface Workload {
  /** With payload and concurrency. */
  readonly name: string;
  readonly needs: readonly Ability[];
  readonly conditions: Conditions;
  /**
   * The processes: "shared" by all workloads with the same conditions, so that they are warm; "isolated", the same with a
   * network of their own; "fresh" ones for each round.
   */
  readonly processes: "shared" | "isolated" | "fresh";
  readonly metrics: readonly Metric[];
  /** One round. Resolves with a value for each metric. */
  measure(pair: Pair, effort: Effort): Promise<readonly number[]>;
}

export interface Metric {
  readonly name: string;
  readonly unit: string;
  readonly better: "less" | "more";
}

/** How long or how much a round is. */
export interface Effort {
  /** What processes do before they are measured, that their code is compiled. */
  readonly warmupMilliseconds: number;
  /** Of what counts calls or moves data. */
  readonly milliseconds: number;
  /** Of 100 B in a call that streams. */
  readonly messages: number;
  /** Messages of 64 KiB in a call that moves much data. */
  readonly chunks: number;
  /** Connections, one after the other. */
  readonly dials: number;
  /** Connections at once, and streams at once. */
  readonly connections: number;
  readonly streams: number;
}

export const fullEffort: Effort = {
  warmupMilliseconds: 3_000,
  milliseconds: 1_000,
  messages: 10_000,
  chunks: 256,
  dials: 20,
  connections: 1_000,
  streams: 10_000,
};

export const quickEffort: Effort = {
  warmupMilliseconds: 0,
  milliseconds: 30,
  messages: 200,
  chunks: 8,
  dials: 2,
  connections: 20,
  streams: 100,
};
