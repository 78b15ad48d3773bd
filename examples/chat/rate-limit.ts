/** So many at once, and so many a second. Times are milliseconds of one clock. */
export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** A bucket of tokens: `burst` at first, refilled at `perSecond`. */
export class RateLimit {
  readonly #rate: Rate;
  #tokens: number;
  #at: number | undefined;

  constructor(rate: Rate) {
    this.#rate = rate;
    this.#tokens = rate.burst;
  }

  /** Takes a token; false when there is none. */
  take(now: number): boolean {
    if (this.waitMs(now) > 0) {
      return false;
    }
    this.#tokens -= 1;
    return true;
  }

  /** How long until there is a token. */
  waitMs(now: number): number {
    const { burst, perSecond } = this.#rate;
    const passedMs = Math.max(0, now - (this.#at ?? now));
    this.#tokens = Math.min(burst, this.#tokens + (passedMs * perSecond) / 1_000);
    this.#at = now;
    return this.#tokens >= 1 ? 0 : Math.ceil(((1 - this.#tokens) * 1_000) / perSecond);
  }
}

/** A limit for each of many, of whom the `maxKeys` that were here last are remembered. */
export class RateLimits {
  readonly #rate: Rate;
  readonly #maxKeys: number;
  readonly #limits = new Map<string, RateLimit>();

  constructor(rate: Rate, maxKeys: number) {
    this.#rate = rate;
    this.#maxKeys = maxKeys;
  }

  take(key: string, now: number): boolean {
    const limit = this.#limits.get(key) ?? new RateLimit(this.#rate);
    // The one that was here last stands at the end.
    this.#limits.delete(key);
    this.#limits.set(key, limit);
    for (const oldest of this.#limits.keys()) {
      if (this.#limits.size <= this.#maxKeys) {
        break;
      }
      this.#limits.delete(oldest);
    }
    return limit.take(now);
  }
}
