/** What waits to be sent to one reader: it can be filled up to a limit, and ended. */
export class Outbox<T> implements AsyncIterable<T> {
  readonly #limit: number;
  readonly #onIdle: () => void;
  readonly #items: T[] = [];
  #state: "open" | "ended" | "failed" = "open";
  #failure: unknown;
  #wake: () => void = () => {};

  /** @param onIdle called when the reader has taken all there is and asks for more */
  constructor(limit: number, onIdle: () => void = () => {}) {
    this.#limit = limit;
    this.#onIdle = onIdle;
  }

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  /** False when it is full, or ended. */
  push(item: T): boolean {
    if (this.#state !== "open" || this.#items.length >= this.#limit) {
      return false;
    }
    this.#items.push(item);
    this.#wake();
    return true;
  }

  /** No more follows; with `last` after what waits already. */
  end(last?: T): void {
    if (this.#state === "open") {
      this.#items.push(...(last === undefined ? [] : [last]));
      this.#state = "ended";
      this.#wake();
    }
  }

  /** The reader gets this error at once. */
  fail(error: unknown): void {
    if (this.#state !== "failed") {
      this.#state = "failed";
      this.#failure = error;
      this.#items.length = 0;
      this.#wake();
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) {
        yield item;
      } else if (this.#state === "failed") {
        throw this.#failure;
      } else if (this.#state === "ended") {
        return;
      } else {
        this.#onIdle();
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
