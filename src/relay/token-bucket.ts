/** How fast something may flow: so much a second, and so much at once. Times are `Platform.now()`. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #at: number;

  constructor(perSecond: number, burst: number, now: number) {
    this.#perMs = perSecond / 1_000;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = now;
  }

  /** Takes `count`, also when there are less. Returns how long to wait before taking more, in milliseconds: 0, mostly. */
  take(count: number, now: number): number {
    if (this.#perMs === Number.POSITIVE_INFINITY) {
      return 0;
    }
    this.#refill(now);
    this.#tokens -= count;
    return Math.max(-this.#tokens / this.#perMs, 0);
  }

  /** Takes `count` if there are so many; tells whether. */
  tryTake(count: number, now: number): boolean {
    this.#refill(now);
    const enough = this.#tokens >= count;
    this.#tokens -= enough ? count : 0;
    return enough;
  }

  #refill(now: number): void {
    this.#tokens = Math.min(this.#tokens + (now - this.#at) * this.#perMs, this.#burst);
    this.#at = now;
  }
}
