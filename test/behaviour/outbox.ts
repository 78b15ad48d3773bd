/**
 * The request messages of a call, sent one by one by the test. Messages wait in it without a limit. To be iterated once.
 *
 * Not a generator: one that waits cannot be told to stop, so nobody would learn that the transport has left.
 */
export class Outbox<T> implements AsyncIterableIterator<T, void> {
  /** Resolves when the transport has left the messages before their end. */
  readonly left: Promise<void>;
  #leave: () => void = () => {};
  readonly #waiting: T[] = [];
  #end: "open" | "ended" | { readonly error: unknown } = "open";
  #wake: () => void = () => {};

  constructor(...first: T[]) {
    this.#waiting.push(...first);
    this.left = new Promise((resolve) => {
      this.#leave = resolve;
    });
  }

  send(message: T): void {
    this.#waiting.push(message);
    this.#wake();
  }

  end(): void {
    this.#close("ended");
  }

  /** The messages end with an error. */
  fail(error: unknown): void {
    this.#close({ error });
  }

  async next(): Promise<IteratorResult<T, void>> {
    for (;;) {
      const message = this.#waiting.shift();
      if (message !== undefined) {
        return { done: false, value: message };
      }
      if (this.#end === "ended") {
        return { done: true, value: undefined };
      }
      if (this.#end !== "open") {
        throw this.#end.error;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<T, void>> {
    this.#waiting.length = 0;
    this.#close("ended");
    this.#leave();
    return { done: true, value: undefined };
  }

  async throw(error: unknown): Promise<never> {
    this.#close({ error });
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #close(end: "ended" | { readonly error: unknown }): void {
    if (this.#end === "open") {
      this.#end = end;
    }
    this.#wake();
  }
}
