/** What has to be done within a time that is the same for all: the first to begin is the first to be late. */
export class Deadlines<T> {
  readonly #allowedMs: number;
  /** In the order of their beginning. */
  readonly #latest: Map<T, number> = new Map();

  constructor(allowedMs: number) {
    this.#allowedMs = allowedMs;
  }

  /** Begins at `now`, in monotonic milliseconds, unless it runs already. */
  start(item: T, now: number): void {
    if (!this.#latest.has(item)) {
      this.#latest.set(item, now + this.#allowedMs);
    }
  }

  stop(item: T): void {
    this.#latest.delete(item);
  }

  /** When the first will be late; undefined when none is running. */
  next(): number | undefined {
    return this.#latest.values().next().value;
  }

  /** Ends those that are late and returns them. */
  expire(now: number): T[] {
    const late: T[] = [];
    for (const [item, latest] of this.#latest) {
      if (latest > now) {
        break;
      }
      late.push(item);
    }
    for (const item of late) {
      this.#latest.delete(item);
    }
    return late;
  }
}
