/**
 * The content of a request, which may have to be sent a second time. What was read is kept as long as it is short; from
 * then on the request can only be sent once, so that what is kept never grows with the length of a stream.
 */
export class ReplayableBody {
  readonly #source: AsyncIterator<Uint8Array>;
  #kept: Uint8Array[] | undefined = [];
  #keptBytes = 0;
  #pulling: Promise<IteratorResult<Uint8Array>> | undefined;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** Whether {@link read} would still begin at the beginning. */
  get replayable(): boolean {
    return this.#kept !== undefined;
  }

  /** Reads from the beginning. An earlier reader must have stopped; a `next` of it that is pending is not lost. */
  read(): AsyncIterator<Uint8Array> {
    let index = 0;
    return {
      next: () => {
        const chunk = this.#kept?.[index];
        index += 1;
        if (chunk !== undefined) {
          return Promise.resolve({ done: false, value: chunk });
        }
        this.#pulling ??= this.#pull();
        return this.#pulling;
      },
    };
  }

  /** It will not be sent again: nothing more is kept. */
  forget(): void {
    this.#kept = undefined;
  }

  /** Tells the source that nobody reads on; with `error` it can see why. */
  abandon(error?: unknown): void {
    this.#kept = undefined;
    if (error !== undefined) {
      void this.#source.throw?.(error).catch(() => {});
    }
    void this.#source.return?.().catch(() => {});
  }

  async #pull(): Promise<IteratorResult<Uint8Array>> {
    try {
      const result = await this.#source.next();
      if (result.done !== true && this.#kept !== undefined) {
        this.#keptBytes += result.value.length;
        if (this.#keptBytes > maxReplayBytes) {
          this.#kept = undefined;
        } else {
          this.#kept.push(result.value);
        }
      }
      return result;
    } finally {
      this.#pulling = undefined;
    }
  }
}

/** Content of a request that is kept in case it has to be sent again. */
export const maxReplayBytes = 65_536;
