import { type Compression, compressedFlag, envelopeDecompress } from "@connectrpc/connect/protocol";
import { endStreamFlag } from "@connectrpc/connect/protocol-connect";
import { type Envelope, EnvelopeSplitter } from "./envelope-splitter.ts";

/** What a {@link MessageReader} does with what it reads. What these throw ends the reading. */
export interface MessageFormat<T> {
  /** Largest message. Bytes. */
  readonly readMaxBytes: number;
  readonly compression: Compression | null;
  /** Throws when no message is wanted any more, though some have arrived. */
  throwIfUnwanted?(): void;
  parse(data: Uint8Array): T;
  /** What the envelope says that ends a stream; undefined in a protocol that has none. */
  endOfStream?(data: Uint8Array): void;
  /** The content is over. */
  over(): void;
  /** Nothing more is read because of this error. The answer is what the reader gets for it. */
  failed?(error: unknown): unknown;
}

/**
 * The messages in the content of a stream of the Connect protocol or gRPC. It does the work of connect-es's chain of generators
 * in one step.
 */
export class MessageReader<T> implements AsyncIterableIterator<T> {
  readonly #content: AsyncIterator<Uint8Array>;
  readonly #format: MessageFormat<T>;
  readonly #splitter: EnvelopeSplitter;
  #isOver = false;
  /** Calls of `next` that are under way. Each waits for the one before it, which is `#last`. */
  #asked = 0;
  #last: Promise<unknown> | undefined;

  constructor(content: AsyncIterable<Uint8Array>, format: MessageFormat<T>) {
    this.#content = content[Symbol.asyncIterator]();
    this.#format = format;
    this.#splitter = new EnvelopeSplitter(format.readMaxBytes);
  }

  next(): Promise<IteratorResult<T>> {
    let envelope: Envelope | undefined;
    if (this.#asked === 0 && !this.#isOver) {
      try {
        envelope = this.#nextEnvelope();
        if (envelope !== undefined && this.#isMessage(envelope)) {
          // Most messages have arrived with one before them: they need no waiting, which takes as long as all else.
          return Promise.resolve({ done: false, value: this.#format.parse(envelope.data) });
        }
      } catch (error) {
        return Promise.reject(this.#failed(error));
      }
    }
    this.#asked += 1;
    const result = this.#asked === 1 ? this.#read(envelope) : this.#readAfter(this.#last);
    this.#last = result;
    return result;
  }

  /** Leaves the rest unread. */
  async return(): Promise<IteratorResult<T>> {
    await this.#leave();
    return finished;
  }

  async throw(error: unknown): Promise<IteratorResult<T>> {
    await this.#leave();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #readAfter(last: Promise<unknown> | undefined): Promise<IteratorResult<T>> {
    await last?.catch(() => {});
    return this.#read();
  }

  /** @param first an envelope that was taken already */
  async #read(first?: Envelope): Promise<IteratorResult<T>> {
    try {
      let envelope = first;
      while (!this.#isOver) {
        envelope ??= this.#nextEnvelope();
        if (envelope === undefined) {
          await this.#fill();
          continue;
        }
        const { flags, data } = isCompressed(envelope)
          ? await this.#decompress(envelope)
          : envelope;
        envelope = undefined;
        const { endOfStream } = this.#format;
        if (endOfStream !== undefined && (flags & endStreamFlag) === endStreamFlag) {
          endOfStream.call(this.#format, data);
        } else {
          return { done: false, value: this.#format.parse(data) };
        }
      }
      return finished;
    } catch (error) {
      throw this.#failed(error);
    } finally {
      this.#asked -= 1;
    }
  }

  #nextEnvelope(): Envelope | undefined {
    this.#format.throwIfUnwanted?.();
    return this.#splitter.next();
  }

  /** Whether it is a message as it stands. */
  #isMessage({ flags }: Envelope): boolean {
    const { endOfStream } = this.#format;
    const special = endOfStream === undefined ? compressedFlag : compressedFlag | endStreamFlag;
    return (flags & special) === 0;
  }

  /** Leaves the content. What the reader gets for the error. */
  #failed(error: unknown): unknown {
    const reason = this.#format.failed?.(error) ?? error;
    void this.#leave().catch(() => {});
    return reason;
  }

  async #decompress(envelope: Envelope): Promise<Envelope> {
    const { compression, readMaxBytes } = this.#format;
    const plain = await envelopeDecompress(envelope, compression, readMaxBytes);
    this.#format.throwIfUnwanted?.();
    return plain;
  }

  async #fill(): Promise<void> {
    const { done, value } = await this.#content.next();
    if (done === true) {
      this.#isOver = true;
      this.#splitter.end();
      this.#format.over();
    } else {
      this.#splitter.push(value);
    }
  }

  async #leave(): Promise<void> {
    this.#isOver = true;
    await this.#content.return?.();
  }
}

function isCompressed({ flags }: Envelope): boolean {
  return (flags & compressedFlag) === compressedFlag;
}

const finished: IteratorReturnResult<undefined> = { done: true, value: undefined };
