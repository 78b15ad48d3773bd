import type { Caller } from "./contestant.ts";

/** How long or how much a round of a case is. */
export interface Effort {
  /** Of a case that counts calls. */
  readonly milliseconds: number;
  /** Of a case that moves data. */
  readonly bytes: number;
}

/** What a case is about. The name holds payload and concurrency. */
export interface Case {
  readonly name: string;
  /** What is counted; of times the smaller is better, of rates the greater. */
  readonly unit: "us" | "calls/s" | "MB/s";
  run(caller: Caller, effort: Effort): Promise<Outcome>;
}

/** What came out of one round. */
export interface Outcome {
  /** In the unit of the case; a median where it is a time. */
  readonly value: number;
  /** In microseconds, where single calls were measured. */
  readonly p99?: number;
}

const small = new Uint8Array(100);
const large = new Uint8Array(65_536);

export const cases: readonly Case[] = [
  {
    name: "echo of 100 B, one at a time",
    unit: "us",
    run: async (caller, { milliseconds }) => {
      const times: number[] = [];
      const end = performance.now() + milliseconds;
      for (let now = performance.now(); now < end; ) {
        await caller.echo(small);
        const after = performance.now();
        times.push((after - now) * 1_000);
        now = after;
      }
      times.sort((a, b) => a - b);
      return { value: quantile(times, 0.5), p99: quantile(times, 0.99) };
    },
  },
  {
    name: "echo of 100 B, 32 at a time",
    unit: "calls/s",
    run: async (caller, { milliseconds }) => {
      let calls = 0;
      const start = performance.now();
      const end = start + milliseconds;
      const callInARow = async (): Promise<void> => {
        while (performance.now() < end) {
          await caller.echo(small);
          calls += 1;
        }
      };
      await Promise.all(Array.from({ length: 32 }, callInARow));
      return { value: (calls * 1_000) / (performance.now() - start) };
    },
  },
  {
    name: "down, messages of 64 KiB",
    unit: "MB/s",
    run: (caller, { bytes }) =>
      throughput(bytes, () => caller.download(bytes / large.length, large.length)),
  },
  {
    name: "up, messages of 64 KiB",
    unit: "MB/s",
    run: (caller, { bytes }) => throughput(bytes, () => caller.upload(bytes / large.length, large)),
  },
];

/** The value below which `fraction` of the sorted values are. */
export function quantile(sorted: readonly number[], fraction: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN;
}

async function throughput(bytes: number, transfer: () => Promise<void>): Promise<Outcome> {
  const start = performance.now();
  await transfer();
  return { value: bytes / 1_000 / (performance.now() - start) };
}
