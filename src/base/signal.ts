import { onAbort } from "./on-abort.ts";

/**
 * A condition that others wait for: each `wait` resolves at the next `notify`. Not a queue: a `notify` that nobody waits
 * for is forgotten, so check the condition first.
 */
export class Signal {
  #waiters: Array<() => void> = [];

  notify(): void {
    const waiters = this.#waiters;
    if (waiters.length > 0) {
      this.#waiters = [];
      for (const waiter of waiters) {
        waiter();
      }
    }
  }

  /** Resolves at the next `notify`, or rejects with the signal's reason. */
  wait(options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    const signal = options?.signal;
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      const stopListening = onAbort(signal, () => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(signal?.reason);
      });
      const waiter = (): void => {
        stopListening();
        resolve();
      };
      this.#waiters.push(waiter);
    });
  }
}
