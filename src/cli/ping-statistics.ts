import type { PathPlace } from "./path-place.ts";

export interface PingSummary {
  readonly sent: number;
  readonly answered: number;
  /** For each way that answers took; the first one taken comes first. */
  readonly ways: readonly WaySummary[];
}

export interface WaySummary {
  readonly way: PathPlace["type"];
  readonly answered: number;
  readonly fastestMs: number;
  readonly meanMs: number;
  readonly slowestMs: number;
}

interface Way {
  answered: number;
  fastestMs: number;
  sumMs: number;
  slowestMs: number;
}

/** Counts round trips. Takes the same memory for any number of them. */
export class PingStatistics {
  readonly #ways = new Map<PathPlace["type"], Way>();
  #sent = 0;
  #answered = 0;

  get answered(): number {
    return this.#answered;
  }

  handleSent(): void {
    this.#sent += 1;
  }

  handleAnswer(type: PathPlace["type"], ms: number): void {
    this.#answered += 1;
    const way = this.#ways.get(type);
    if (way === undefined) {
      this.#ways.set(type, { answered: 1, fastestMs: ms, sumMs: ms, slowestMs: ms });
    } else {
      way.answered += 1;
      way.fastestMs = Math.min(way.fastestMs, ms);
      way.sumMs += ms;
      way.slowestMs = Math.max(way.slowestMs, ms);
    }
  }

  summary(): PingSummary {
    return {
      sent: this.#sent,
      answered: this.#answered,
      ways: [...this.#ways].map(([way, { answered, fastestMs, sumMs, slowestMs }]) => ({
        way,
        answered,
        fastestMs,
        meanMs: sumMs / answered,
        slowestMs,
      })),
    };
  }
}
