import { Signal } from "../base/signal.ts";
import type { CloseCause, EngineStream } from "../engine/engine.ts";
import { EndpointError } from "./endpoint-error.ts";
import type { ProcessHold } from "./process-hold.ts";

/**
 * The receiving half of a stream. What is not read stays with the connection and stops the sender. When the connection
 * ends, what had arrived before can still be read, unless this side closed it.
 */
export class ReceiveStream implements AsyncIterable<Uint8Array> {
  readonly #stream: EngineStream;
  readonly #hold: ProcessHold;
  readonly #readable = new Signal();
  #lost: EndpointError | undefined;
  /** What the engine still had when the connection ended, at most a receive window. */
  #rest: Uint8Array[] = [];
  #restKept = false;
  #restDropped = false;
  #web: ReadableStream<Uint8Array> | undefined;

  /** @internal */
  constructor(stream: EngineStream, hold: ProcessHold) {
    this.#stream = stream;
    this.#hold = hold;
  }

  /** The QUIC stream id. */
  get id(): number {
    return this.#stream.id;
  }

  /**
   * The next bytes, as many as are there up to `maxBytes` (default 64 KiB); undefined at the end. Rejects with
   * {@link EndpointError} "stream-reset" when the peer gave up, and with how the connection ended, after what had arrived.
   */
  async read(options?: {
    readonly maxBytes?: number;
    readonly signal?: AbortSignal;
  }): Promise<Uint8Array | undefined> {
    options?.signal?.throwIfAborted();
    for (;;) {
      const bytes = this.#next(options?.maxBytes);
      if (bytes !== undefined) {
        return bytes;
      }
      switch (this.#restDropped ? "stopped" : this.#stream.receiveState) {
        case "open":
          if (this.#lost !== undefined) {
            throw this.#lost;
          }
          await this.#hold.during(this.#readable.wait({ signal: options?.signal }));
          break;
        case "finished":
          return undefined;
        case "reset": {
          const code = this.#stream.resetCode ?? 0n;
          throw new EndpointError(
            "stream-reset",
            `the peer reset the stream (code 0x${code.toString(16)})`,
            {
              streamCode: code,
            },
          );
        }
        case "stopped":
        case "none":
          throw new EndpointError(
            "stream-ended",
            "cannot read: the stream was stopped by this side",
          );
      }
    }
  }

  /** Exactly `length` bytes; rejects with "stream-ended" when the stream ends before. */
  async readExact(
    length: number,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    const out = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const bytes = await this.read({ ...options, maxBytes: length - filled });
      if (bytes === undefined) {
        throw new EndpointError("stream-ended", `stream ended after ${filled} of ${length} bytes`);
      }
      out.set(bytes, filled);
      filled += bytes.length;
    }
    return out;
  }

  /** Everything up to the end; stops the stream and rejects with "too-large" above `maxBytes`. */
  async readToEnd(
    maxBytes: number,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (;;) {
      const bytes = await this.read(options);
      if (bytes === undefined) {
        return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : concat(chunks, length);
      }
      length += bytes.length;
      if (length > maxBytes) {
        this.stop();
        throw new EndpointError("too-large", `stream is longer than ${maxBytes} bytes`);
      }
      chunks.push(bytes);
    }
  }

  /** Asks the peer to send no more and throws away what is there. Default code 0. */
  stop(code = 0n): void {
    this.#stream.stop(code);
    this.#restDropped ||= this.#rest.length > 0;
    this.#rest = [];
    this.#readable.notify();
  }

  /** The same half as a Web Stream; cancelling it stops the stream with code 0. */
  get readable(): ReadableStream<Uint8Array> {
    this.#web ??= new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const bytes = await this.read();
          if (bytes === undefined) {
            controller.close();
          } else {
            controller.enqueue(bytes);
          }
        },
        cancel: () => this.stop(),
      },
      { highWaterMark: 0 },
    );
    return this.#web;
  }

  /** Leaving the loop early stops the stream with code 0. */
  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    let complete = false;
    try {
      for (;;) {
        const bytes = await this.read();
        if (bytes === undefined) {
          complete = true;
          return;
        }
        yield bytes;
      }
    } finally {
      if (!complete) {
        this.stop();
      }
    }
  }

  /** @internal */
  handleReadable(): void {
    this.#readable.notify();
  }

  /** @internal */
  handleConnectionClosed(error: EndpointError): void {
    if (error.closeCause !== undefined) {
      this.keepRest(error.closeCause);
    }
    this.#lost = error;
    this.#readable.notify();
  }

  /** The connection is ending: the engine forgets the stream when it has told its handler. @internal */
  keepRest(cause: CloseCause): void {
    if (this.#restKept) {
      return;
    }
    this.#restKept = true;
    if (cause.type !== "application" || cause.origin === "peer") {
      const stream = this.#stream;
      for (let bytes = stream.read(); bytes !== undefined; bytes = stream.read()) {
        this.#rest.push(bytes);
      }
    }
  }

  #next(maxBytes: number | undefined): Uint8Array | undefined {
    if (!this.#restKept) {
      return this.#stream.read(maxBytes);
    }
    const first = this.#rest[0];
    const length = Math.max(1, Math.floor(maxBytes ?? maxReadBytes));
    if (first === undefined || first.length <= length) {
      return this.#rest.shift();
    }
    this.#rest[0] = first.subarray(length);
    return first.slice(0, length);
  }
}

/** As the engine. */
const maxReadBytes = 65_536;

function concat(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const out = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    out.set(chunk, offset);
    offset += chunk.length;
  }
  return out;
}
