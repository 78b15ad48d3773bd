import { type Link, LinkedSet } from "../base/linked-set.ts";

/** Something that has to be done within a time, from `start` on until `stop`. */
export type Deadline<T> = Link<{ readonly item: T; readonly latest: number }>;

/** What has to be done within a time that is the same for all: the first to begin is the first to be late. */
export class Deadlines<T> {
  readonly #allowedMs: number;
  readonly #running = new LinkedSet<Deadline<T>["value"]>();

  constructor(allowedMs: number) {
    this.#allowedMs = allowedMs;
  }

  /** Begins at `now`, in monotonic milliseconds. */
  start(item: T, now: number): Deadline<T> {
    return this.#running.add({ item, latest: now + this.#allowedMs });
  }

  /** Idempotent. */
  stop(deadline: Deadline<T>): void {
    this.#running.delete(deadline);
  }

  /** When the first will be late; undefined when none is running. */
  next(): number | undefined {
    return this.#running.first?.latest;
  }

  /** Ends those that are late and returns them. */
  expire(now: number): T[] {
    const late: T[] = [];
    for (;;) {
      const { first } = this.#running;
      if (first === undefined || first.latest > now) {
        return late;
      }
      late.push(first.item);
      this.#running.shift();
    }
  }
}
