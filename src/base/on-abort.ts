/**
 * Calls `callback` when `signal` fires, until the returned function is called. Not called for a signal that has fired
 * already: look first.
 *
 * However many wait on a signal in this way, it has one listener, and none when nobody waits: so a program may give the
 * same signal to any number of reads and dials at once, and Node.js warns of no leak.
 */
export function onAbort(signal: AbortSignal | undefined, callback: () => void): () => void {
  if (signal === undefined) {
    return () => {};
  }
  let waiting = waitingFor.get(signal);
  if (waiting === undefined) {
    waiting = new Waiting();
    waitingFor.set(signal, waiting);
  }
  return waiting.add(signal, callback);
}

/** Resolves when the signal fires, or has fired already. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
    } else {
      onAbort(signal, resolve);
    }
  });
}

const waitingFor = new WeakMap<AbortSignal, Waiting>();

class Waiting {
  /** Functions of its own for each call, so that the same callback can wait twice. */
  readonly #calls = new Set<() => void>();
  readonly #fire = (): void => {
    for (const call of this.#calls) {
      this.#calls.delete(call);
      call();
    }
  };

  add(signal: AbortSignal, callback: () => void): () => void {
    const call = (): void => callback();
    if (this.#calls.size === 0) {
      signal.addEventListener("abort", this.#fire, { once: true });
    }
    this.#calls.add(call);
    return () => {
      if (this.#calls.delete(call) && this.#calls.size === 0) {
        signal.removeEventListener("abort", this.#fire);
      }
    };
  }
}
