import type { Platform, Timer } from "../base/platform.ts";

/** Watchers that are told in one go, before others have their turn. */
const toldAtOnce = 200;

/** When a watcher is told. */
export interface FanOutPace {
  /** Messages to watchers in a second. */
  readonly messagesPerSecond: number;
  /** Those who watch now, also of other sets. */
  readonly watchers: () => number;
}

/**
 * Tells the watchers of a set that there is something new: all of them in rounds, so that what happens between two rounds is
 * one message to each. A round comes at once after a time in which nothing has happened, and otherwise so late that no more
 * messages are sent than there may be.
 */
export class FanOut {
  readonly #platform: Platform;
  readonly #pace: FanOutPace;
  #waiting = new Set<() => void>();
  /** The next round: begun at this time at the earliest. */
  #earliestMs = 0;
  #timer: Timer | undefined;
  #isTelling = false;
  /** Something has happened that the next round tells. */
  #isDue = false;

  constructor(platform: Platform, pace: FanOutPace) {
    this.#platform = platform;
    this.#pace = pace;
  }

  /**
   * Calls `told` in the next round, unless the returned function is called before.
   *
   * @param isBehind there is something new for this one already
   */
  wait(told: () => void, isBehind: boolean): () => void {
    const waiting = this.#waiting;
    waiting.add(told);
    if (isBehind) {
      this.changed();
    }
    return () => waiting.delete(told);
  }

  /** There is something new. */
  changed(): void {
    this.#isDue = true;
    if (this.#timer !== undefined || this.#isTelling || this.#waiting.size === 0) {
      return;
    }
    const delayMs = this.#earliestMs - this.#platform.now();
    if (delayMs <= 0) {
      this.#tell();
    } else {
      this.#timer = this.#platform.setTimer(delayMs, () => {
        this.#timer = undefined;
        this.#tell();
      });
    }
  }

  /** Nobody waits any more. */
  close(): void {
    if (this.#timer !== undefined) {
      this.#platform.clearTimer(this.#timer);
      this.#timer = undefined;
    }
  }

  #tell(): void {
    if (this.#waiting.size === 0) {
      return;
    }
    const { watchers, messagesPerSecond } = this.#pace;
    this.#earliestMs = this.#platform.now() + (watchers() / messagesPerSecond) * 1_000;
    this.#isTelling = true;
    this.#isDue = false;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    this.#tellSome(waiting);
  }

  #tellSome(waiting: Set<() => void>): void {
    let left = toldAtOnce;
    for (const told of waiting) {
      if (left === 0) {
        this.#platform.soon(() => this.#tellSome(waiting));
        return;
      }
      left -= 1;
      waiting.delete(told);
      told();
    }
    this.#isTelling = false;
    if (this.#isDue) {
      this.changed();
    }
  }
}
