import { type Deferred, deferred } from "../base/deferred.ts";

/** The frames that leave a tunnel, as the requests or responses of a call: each is made when it is asked for. */
export class FrameSource<F> implements AsyncIterableIterator<F> {
  readonly #poll: () => F | undefined;
  readonly #onLeft: () => void;
  readonly #readers: Deferred<IteratorResult<F>>[] = [];
  #end: { readonly type: "open" | "ended" } | { readonly type: "failed"; readonly error: unknown } =
    { type: "open" };

  /** @param onLeft whoever asks for frames wants no more, before their end */
  constructor(poll: () => F | undefined, onLeft: () => void) {
    this.#poll = poll;
    this.#onLeft = onLeft;
  }

  /** It has ended with an error. */
  get failed(): boolean {
    return this.#end.type === "failed";
  }

  /** There may be frames to poll. */
  wake(): void {
    while (this.#readers.length > 0 && this.#end.type !== "failed") {
      const frame = this.#poll();
      if (frame === undefined) {
        return;
      }
      this.#readers.shift()?.resolve({ done: false, value: frame });
    }
  }

  /** No more frames will come than those that can be polled. */
  end(): void {
    if (this.#end.type === "open") {
      this.wake();
      this.#end = { type: "ended" };
      this.#settle();
    }
  }

  /** The call ends with an error. */
  fail(error: unknown): void {
    if (this.#end.type === "open") {
      this.#end = { type: "failed", error };
      this.#settle();
    }
  }

  next(): Promise<IteratorResult<F>> {
    if (this.#end.type === "failed") {
      return Promise.reject(this.#end.error);
    }
    const frame = this.#poll();
    if (frame !== undefined) {
      return Promise.resolve({ done: false, value: frame });
    }
    if (this.#end.type === "ended") {
      return Promise.resolve(finished);
    }
    const reader = deferred<IteratorResult<F>>();
    this.#readers.push(reader);
    return reader.promise;
  }

  return(): Promise<IteratorResult<F>> {
    if (this.#end.type === "open") {
      this.#end = { type: "ended" };
      this.#settle();
      this.#onLeft();
    }
    return Promise.resolve(finished);
  }

  async throw(error: unknown): Promise<IteratorResult<F>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #settle(): void {
    for (const reader of this.#readers.splice(0)) {
      if (this.#end.type === "failed") {
        reader.reject(this.#end.error);
      } else {
        reader.resolve(finished);
      }
    }
  }
}

const finished: IteratorResult<never> = { done: true, value: undefined };
