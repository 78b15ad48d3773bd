import { maxMessagesInSpan, messageSpanMs } from "./worker-limits.ts";

/** Keeps a peer from writing faster than anybody reads. */
export class MessageGate {
  readonly #now: () => number;
  #begin = Number.NEGATIVE_INFINITY;
  #count = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether one more message may come now. */
  admits(): boolean {
    const now = this.#now();
    if (now - this.#begin >= messageSpanMs) {
      this.#begin = now;
      this.#count = 0;
    }
    this.#count += 1;
    return this.#count <= maxMessagesInSpan;
  }
}
