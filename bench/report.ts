import type { Gap } from "./plan.ts";
import { median } from "./statistics.ts";
import type { Effort, Metric } from "./workload.ts";

/** All that came out of a run; what stands in the JSON file. */
export interface Report {
  readonly date: string;
  readonly commit: string;
  readonly node: string;
  readonly machine: string;
  /** Rounds that count. */
  readonly rounds: number;
  readonly effort: Effort;
  /** The contestant that the others are compared with, where it took part. */
  readonly baseline: string;
  readonly contestants: readonly {
    readonly name: string;
    readonly title: string;
    readonly carries: "calls" | "bytes";
  }[];
  readonly results: readonly Result[];
  /** What was not measured, and why. */
  readonly gaps: readonly Gap[];
}

/** One metric of one workload. */
export interface Result {
  readonly workload: string;
  readonly metric: Metric;
  readonly series: readonly Series[];
}

export interface Series {
  readonly contestant: string;
  /** One value a round, in the order in which they were played. */
  readonly values: number[];
}

/** The median of a contestant; undefined when it was not measured. */
export function medianOf(result: Result, contestant: string): number | undefined {
  const values = result.series.find((series) => series.contestant === contestant)?.values ?? [];
  return values.length === 0 ? undefined : median(values);
}
