import type { Platform, Timer } from "../../src/base/platform.ts";

interface ManualTimer extends Timer {
  readonly timer: number;
}

/** A world in which time passes when a test says so, and chance is what it is set to. */
export class ManualPlatform implements Platform {
  /** What random bytes are. */
  randomByte = 0;
  #now = 0;
  #nextTimer = 1;
  readonly #timers = new Map<number, { readonly atMs: number; readonly callback: () => void }>();

  /** Timers that are running. */
  get timers(): number {
    return this.#timers.size;
  }

  /** Lets time pass; timers fire in their order, each at its moment. */
  advance(byMs: number): void {
    const until = this.#now + byMs;
    for (;;) {
      const [next] = [...this.#timers]
        .filter(([, { atMs }]) => atMs <= until)
        .sort(([, a], [, b]) => a.atMs - b.atMs);
      if (next === undefined) {
        break;
      }
      const [id, { atMs, callback }] = next;
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, atMs);
      callback();
    }
    this.#now = until;
  }

  now(): number {
    return this.#now;
  }

  unixMs(): number {
    return 1_700_000_000_000 + this.#now;
  }

  randomFill(into: Uint8Array): void {
    into.fill(this.randomByte);
  }

  soon(callback: () => void): void {
    queueMicrotask(callback);
  }

  settled(callback: () => void): void {
    queueMicrotask(callback);
  }

  setTimer(delayMs: number, callback: () => void): ManualTimer {
    const timer = this.#nextTimer++;
    this.#timers.set(timer, { atMs: this.#now + delayMs, callback });
    return { timer };
  }

  clearTimer(timer: Timer): void {
    this.#timers.delete((timer as ManualTimer).timer);
  }
}

/** Resolves when everything that could run without time passing has run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
