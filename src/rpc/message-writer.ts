import { releaseLarge } from "../base/release.ts";
import { EnvelopeWriter } from "./envelope-writer.ts";

/**
 * Messages as the content of a stream: each in its envelope, uncompressed. It does the work of connect-es's chain of
 * generators in one step, and leaves the source of the messages when such a chain would.
 */
export class MessageWriter<T> implements AsyncIterableIterator<Uint8Array> {
  readonly #messages: AsyncIterator<T>;
  readonly #serialize: (message: T) => Uint8Array;
  readonly #envelopes = new EnvelopeWriter();
  #waiting = false;
  #isOver = false;
  #isLeft = false;

  constructor(messages: AsyncIterable<T>, serialize: (message: T) => Uint8Array) {
    this.#messages = messages[Symbol.asyncIterator]();
    this.#serialize = serialize;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#isOver) {
      return finished;
    }
    this.#waiting = true;
    try {
      const { done, value } = await this.#messages.next();
      if (done === true) {
        this.#isOver = true;
      } else if (this.#isOver) {
        this.leave();
      } else {
        const data = this.#serialize(value);
        const envelope = this.#envelopes.encode(0, data);
        releaseLarge(data);
        return { done: false, value: envelope };
      }
      return finished;
    } catch (error) {
      this.#isOver = true;
      this.leave();
      throw error;
    } finally {
      this.#waiting = false;
    }
  }

  /** Nobody asks for more. The source is left as soon as it does not work on a message. */
  return(): Promise<IteratorResult<Uint8Array>> {
    this.#isOver = true;
    if (!this.#waiting) {
      this.leave();
    }
    return Promise.resolve(finished);
  }

  async throw(error: unknown): Promise<IteratorResult<Uint8Array>> {
    this.#isOver = true;
    if (!this.#waiting) {
      this.leave({ error });
    }
    throw error;
  }

  spent(chunk: Uint8Array): void {
    releaseLarge(chunk);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Leaves the source at once, whatever it does. With an error, it can see why. */
  leave(because?: { readonly error: unknown }): void {
    this.#isOver = true;
    if (!this.#isLeft) {
      this.#isLeft = true;
      if (because !== undefined) {
        void this.#messages.throw?.(because.error)?.catch(() => {});
      }
      void this.#messages.return?.()?.catch(() => {});
    }
  }
}

const finished: IteratorReturnResult<undefined> = { done: true, value: undefined };
