import type { CallsReport, Stall } from "./peer-protocol.ts";

/** Keeps account of calls: how many, how long nothing was answered. Times come from outside. */
export class CallLog {
  readonly #out = new Map<number, number>();
  readonly #stalls: Stall[] = [];
  #begun = 0;
  #answered = 0;
  #failed = 0;
  #firstAnswerAt: number | undefined;
  #lastAnswerAt: number | undefined;
  #problem: string | undefined;

  /** How many are out. */
  get out(): number {
    return this.#out.size;
  }

  /** A call begins. Returns its number. */
  begin(now: number): number {
    const number = this.#begun++;
    this.#out.set(number, now);
    return number;
  }

  answer(number: number, now: number): void {
    this.#out.delete(number);
    this.#answered++;
    this.#firstAnswerAt ??= now;
    const stall = this.#silence(now);
    if (stall !== undefined) {
      this.#stalls.push(stall);
    }
    this.#lastAnswerAt = now;
  }

  fail(number: number, problem: string): void {
    this.#out.delete(number);
    this.#failed++;
    this.#problem ??= problem;
  }

  report(now: number): CallsReport {
    const [waitingSince] = this.#out.values();
    const silence = waitingSince === undefined ? undefined : this.#silence(now);
    return {
      begun: this.#begun,
      answered: this.#answered,
      failed: this.#failed,
      stalls: silence === undefined ? [...this.#stalls] : [...this.#stalls, silence],
      ...(waitingSince !== undefined && { waitingSince }),
      ...(this.#firstAnswerAt !== undefined && { firstAnswerAt: this.#firstAnswerAt }),
      ...(this.#problem !== undefined && { problem: this.#problem }),
    };
  }

  #silence(now: number): Stall | undefined {
    const from = this.#lastAnswerAt;
    return from !== undefined && now - from > stallMs ? { from, ms: now - from } : undefined;
  }
}

/** Calls begin much more often than that. */
const stallMs = 100;
