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
    this.#asked += 1;
    const result = this.#asked === 1 ? this.#read() : this.#readAfter(this.#last);
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

  async #read(): Promise<IteratorResult<T>> {
    try {
      while (!this.#isOver) {
        this.#format.throwIfUnwanted?.();
        const envelope = this.#splitter.next();
        if (envelope === undefined) {
          await this.#fill();
          continue;
        }
        const { flags, data } = isCompressed(envelope)
          ? await this.#decompress(envelope)
          : envelope;
        const { endOfStream } = this.#format;
        if (endOfStream !== undefined && (flags & endStreamFlag) === endStreamFlag) {
          endOfStream.call(this.#format, data);
        } else {
          return { done: false, value: this.#format.parse(data) };
        }
      }
      return finished;
    } catch (error) {
      const reason = this.#format.failed?.(error) ?? error;
      void this.#leave().catch(() => {});
      throw reason;
    } finally {
      this.#asked -= 1;
    }
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
