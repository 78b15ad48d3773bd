import { Code, ConnectError } from "@connectrpc/connect";

export interface CallCountLimits {
  readonly total: number;
  readonly perCaller: number;
}

/** How many calls of a kind go on, of each caller and of all. */
export class CallCounts {
  readonly #what: string;
  readonly #limits: CallCountLimits;
  readonly #callers = new Map<string, number>();
  #total = 0;

  constructor(what: string, limits: CallCountLimits) {
    this.#what = what;
    this.#limits = limits;
  }

  get total(): number {
    return this.#total;
  }

  /** Counts a call until the returned function is called, once. Throws ConnectError ResourceExhausted. */
  enter(caller: string): () => void {
    const others = this.#callers.get(caller) ?? 0;
    if (this.#total >= this.#limits.total || others >= this.#limits.perCaller) {
      throw new ConnectError(`there are too many calls that ${this.#what}`, Code.ResourceExhausted);
    }
    this.#total += 1;
    this.#callers.set(caller, others + 1);
    return () => {
      this.#total -= 1;
      const left = (this.#callers.get(caller) ?? 1) - 1;
      if (left === 0) {
        this.#callers.delete(caller);
      } else {
        this.#callers.set(caller, left);
      }
    };
  }
}
