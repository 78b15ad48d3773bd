/**
 * Counts what must not be cut short by the end of the process: calls, pending reads, listening routers. While the count
 * is above zero the endpoint's socket is referenced.
 */
export class ProcessHold {
  #count = 0;
  readonly #setRef: (ref: boolean) => void;

  constructor(setRef: (ref: boolean) => void) {
    this.#setRef = setRef;
  }

  /** Holds until the returned function is called; calling that again does nothing. */
  take(): () => void {
    this.#count += 1;
    if (this.#count === 1) {
      this.#setRef(true);
    }
    let held = true;
    return () => {
      if (held) {
        held = false;
        this.#count -= 1;
        if (this.#count === 0) {
          this.#setRef(false);
        }
      }
    };
  }

  /** Holds while `work` is pending. */
  async during<T>(work: Promise<T>): Promise<T> {
    const release = this.take();
    try {
      return await work;
    } finally {
      release();
    }
  }
}
