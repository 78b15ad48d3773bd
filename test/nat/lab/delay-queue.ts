/** Holds things back until their time has come; those of one time leave in the order in which they came. */
export class DelayQueue<T> {
  /** By time. What is held back for as long as the rest, which is the rule, goes to the end. */
  readonly #waiting: { readonly at: number; readonly item: T }[] = [];

  /** When the next leaves, in the milliseconds of whoever asks; undefined when nothing waits. */
  get nextAt(): number | undefined {
    return this.#waiting[0]?.at;
  }

  add(item: T, at: number): void {
    let index = this.#waiting.length;
    while (index > 0 && (this.#waiting[index - 1]?.at ?? 0) > at) {
      index--;
    }
    this.#waiting.splice(index, 0, { at, item });
  }

  /** Takes out what is to leave by now. */
  takeDue(now: number): T[] {
    let count = 0;
    while (count < this.#waiting.length && (this.#waiting[count]?.at ?? now) <= now) {
      count++;
    }
    return this.#waiting.splice(0, count).map(({ item }) => item);
  }
}
