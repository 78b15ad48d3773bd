export interface FloodGuardOptions {
  /** How often it is tolerated in a window without anything useful. */
  readonly max: number;
  /** How much more each useful thing in the window allows. */
  readonly perUseful: number;
  readonly windowMs: number;
}

/**
 * Notices a peer that does something again and again which costs us and brings it nothing (RFC 9114 §10.5). Both kinds of
 * acts are counted over windows of time that follow each other; a busy peer may do more of both.
 */
export class FloodGuard {
  readonly #options: FloodGuardOptions;
  #windowStart = Number.NEGATIVE_INFINITY;
  #useful = 0;
  #useless = 0;

  constructor(options: FloodGuardOptions) {
    this.#options = options;
  }

  /** The peer did something that was worth it. */
  useful(): void {
    this.#useful += 1;
  }

  /** The peer did it at `now`, in monotonic milliseconds. False when that was once too often. */
  tolerates(now: number): boolean {
    const { max, perUseful, windowMs } = this.#options;
    if (now - this.#windowStart >= windowMs) {
      this.#windowStart = now;
      this.#useful = 0;
      this.#useless = 0;
    }
    this.#useless += 1;
    return this.#useless <= max + perUseful * this.#useful;
  }
}
