import type { Chunks } from "./body-sender.ts";

/**
 * The content of a request, which may have to be sent a second time. What was read is kept as long as it is short; from
 * then on the request can only be sent once, so that what is kept never grows with the length of a stream.
 */
export class ReplayableBody {
  readonly #source: Chunks;
  /** Where readers begin. All that comes after it is kept with it, by it alone or by a reader that is on its way. */
  #first: Step | undefined = newStep();
  #keptBytes = 0;
  readonly #maxBytes: number;

  /** @param maxBytes is how much is kept */
  constructor(source: AsyncIterable<Uint8Array>, maxBytes: number = maxReplayBytes) {
    this.#source = source[Symbol.asyncIterator]();
    this.#maxBytes = maxBytes;
  }

  /** Whether {@link read} can begin at the beginning. */
  get replayable(): boolean {
    return this.#first !== undefined;
  }

  /**
   * Reads from the beginning, and to the end even if it is not {@link replayable} any more by then. An earlier reader
   * must have stopped; a `next` of it that is pending is not lost.
   */
  read(): Chunks {
    if (this.#first === undefined) {
      throw new Error("cannot read the body again: its beginning was not kept");
    }
    let step = this.#first;
    return {
      next: () => {
        if (step.result === undefined && !this.replayable) {
          // Nobody reads it again.
          return this.#source.next();
        }
        step.result ??= this.#pull();
        step.following ??= newStep();
        const { result } = step;
        step = step.following;
        return result;
      },
      spent: (chunk) => {
        if (!this.replayable) {
          this.#source.spent?.(chunk);
        }
      },
    };
  }

  /** It will not be sent again: nothing is kept for later readers. */
  forget(): void {
    this.#first = undefined;
  }

  /** Tells the source that nobody reads on; with `error` it can see why. */
  abandon(error?: unknown): void {
    this.forget();
    if (error !== undefined) {
      void this.#source.throw?.(error).catch(() => {});
    }
    void this.#source.return?.().catch(() => {});
  }

  async #pull(): Promise<IteratorResult<Uint8Array>> {
    const result = await this.#source.next();
    if (result.done !== true) {
      this.#keptBytes += result.value.length;
      if (this.#keptBytes > this.#maxBytes) {
        this.forget();
      }
    }
    return result;
  }
}

/**
 * What the source gave, and what it gives after that: undefined as long as no reader has come so far. Nobody refers
 * back, so what all readers have passed is free.
 */
interface Step {
  result: Promise<IteratorResult<Uint8Array>> | undefined;
  following: Step | undefined;
}

function newStep(): Step {
  return { result: undefined, following: undefined };
}

/** Content of a request that is kept in case it has to be sent again, where the caller does not keep it. Bytes. */
export const maxReplayBytes = 65_536;
