import { onAbort } from "./on-abort.ts";

/**
 * Values on their way from a callback to whoever awaits them, first in, first out. Whoever pushes has to bound it.
 */
export class AsyncQueue<T> {
  readonly #values: T[] = [];
  readonly #waiters: Array<(value: T | undefined) => void> = [];
  #ended = false;

  /** Values that nobody has taken yet. */
  get size(): number {
    return this.#values.length;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Hands `value` to the first who waits, or keeps it. Dropped once the queue has ended. */
  push(value: T): void {
    if (this.#ended) {
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter === undefined) {
      this.#values.push(value);
    } else {
      waiter(value);
    }
  }

  /** Takes the oldest value without waiting. */
  take(): T | undefined {
    return this.#values.shift();
  }

  /** Drops the oldest value that is no longer `wanted`; tells whether there was one. */
  dropUnwanted(wanted: (value: T) => boolean): boolean {
    const index = this.#values.findIndex((value) => !wanted(value));
    if (index >= 0) {
      this.#values.splice(index, 1);
    }
    return index >= 0;
  }

  /**
   * The next value; undefined once the queue has ended and is empty. Rejects with the signal's reason, and then no value
   * is lost.
   */
  async next(options?: { readonly signal?: AbortSignal | undefined }): Promise<T | undefined> {
    const signal = options?.signal;
    signal?.throwIfAborted();
    if (this.#values.length > 0 || this.#ended) {
      return this.#values.shift();
    }
    return await new Promise<T | undefined>((resolve, reject) => {
      const stopListening = onAbort(signal, () => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        reject(signal?.reason);
      });
      const waiter = (value: T | undefined): void => {
        stopListening();
        resolve(value);
      };
      this.#waiters.push(waiter);
    });
  }

  /** No more values will come; those that are there can still be taken. Idempotent. */
  end(): void {
    this.#ended = true;
    for (const waiter of this.#waiters.splice(0)) {
      waiter(undefined);
    }
  }
}
