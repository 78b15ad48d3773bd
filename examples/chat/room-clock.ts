/**
 * Times for messages: those of the clock, but each after all that was seen before, so that an answer stands below what it
 * answers even when the clocks of both differ. Milliseconds since 1970.
 */
export class RoomClock {
  readonly #toleranceMs: number;
  #seenMs = 0;
  #lastMs = 0;

  constructor(toleranceMs: number) {
    this.#toleranceMs = toleranceMs;
  }

  /** False for the time of a message that cannot have been said yet; others count from here on. */
  see(timeMs: number, now: number): boolean {
    if (timeMs > now + this.#toleranceMs) {
      return false;
    }
    this.#seenMs = Math.max(this.#seenMs, timeMs);
    return true;
  }

  /** The time of a message of one's own. */
  next(now: number): number {
    // Who is further ahead is not followed: others with a clock that is a little behind would not take it.
    const afterOthers = Math.min(this.#seenMs + 1, now + this.#toleranceMs / 2);
    this.#lastMs = Math.max(this.#lastMs + 1, now, afterOthers);
    return this.#lastMs;
  }
}
