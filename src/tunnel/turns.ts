/** Those who want to send, each once, in the order in which they came: who has sent goes to the end. */
export class Turns<T> {
  readonly #waiting = new Set<T>();

  /** Stays where it is when it waits already. */
  add(item: T): void {
    this.#waiting.add(item);
  }

  delete(item: T): void {
    this.#waiting.delete(item);
  }

  /** Takes the first who has something, and lets it wait again at the end. Who has nothing leaves. */
  next<F>(poll: (item: T) => F | undefined): F | undefined {
    for (const item of this.#waiting) {
      this.#waiting.delete(item);
      const found = poll(item);
      if (found !== undefined) {
        this.#waiting.add(item);
        return found;
      }
    }
    return undefined;
  }

  clear(): void {
    this.#waiting.clear();
  }
}
