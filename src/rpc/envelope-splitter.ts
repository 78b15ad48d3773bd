import { Code, ConnectError } from "@connectrpc/connect";
import { Slab } from "../base/slab.ts";
import { ContentBuffer } from "./content-buffer.ts";
import { messageTooLarge } from "./message-limits.ts";

/** A message as it stands in the content of a stream: behind a byte of flags and four bytes of length. */
export interface Envelope {
  readonly flags: number;
  readonly data: Uint8Array;
}

/** Of what stands before each message. Bytes. */
export const envelopeHeadLength = 5;

/**
 * Takes the content of a stream apart into its messages, as gRPC, gRPC-Web and Connect put them there. What a message
 * announces of its length is believed as far as its bytes have arrived.
 */
export class EnvelopeSplitter {
  readonly #readMaxBytes: number;
  readonly #head = new Uint8Array(envelopeHeadLength);
  #headFilled = 0;
  readonly #data = new ContentBuffer();
  #missing = 0;
  readonly #slab = new Slab();
  /** What is still to be taken apart. */
  #bytes: Uint8Array = nothing;
  #offset = 0;

  constructor(readMaxBytes: number) {
    this.#readMaxBytes = readMaxBytes;
  }

  /** Takes over `bytes`, which follow on those before, of which {@link next} has left nothing. */
  push(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#offset = 0;
  }

  /**
   * The next message that is complete; undefined when more bytes are needed. One at a time, because 64 KiB may be 13,000
   * empty ones. Throws for a message that is larger than allowed.
   */
  next(): Envelope | undefined {
    const bytes = this.#bytes;
    while (this.#offset < bytes.length) {
      if (this.#headFilled < envelopeHeadLength) {
        this.#takeHead(bytes);
      }
      if (this.#headFilled === envelopeHeadLength) {
        const start = this.#offset;
        const end = Math.min(start + this.#missing, bytes.length);
        const data = this.#piece(bytes, start, end);
        this.#missing -= end - start;
        this.#offset = end;
        if (this.#missing === 0) {
          this.#headFilled = 0;
          return { flags: this.#head[0] ?? 0, data: this.#completedBy(data) };
        }
        if (data.length > 0) {
          this.#data.push(data);
        }
      }
    }
    this.#bytes = nothing;
    return undefined;
  }

  /** Throws when the content ends within a message. */
  end(): void {
    if (this.#headFilled > 0) {
      throw new ConnectError("protocol error: incomplete envelope", Code.InvalidArgument);
    }
  }

  #takeHead(bytes: Uint8Array): void {
    const end = Math.min(this.#offset + envelopeHeadLength - this.#headFilled, bytes.length);
    for (let index = this.#offset; index < end; index += 1) {
      this.#head[this.#headFilled] = bytes[index] ?? 0;
      this.#headFilled += 1;
    }
    this.#offset = end;
    if (this.#headFilled === envelopeHeadLength) {
      const [, a = 0, b = 0, c = 0, d = 0] = this.#head;
      this.#missing = a * 0x1_00_00_00 + (b << 16) + (c << 8) + d;
      if (this.#missing > this.#readMaxBytes) {
        throw messageTooLarge(this.#readMaxBytes, this.#missing);
      }
    }
  }

  #completedBy(data: Uint8Array): Uint8Array {
    if (this.#data.length === 0) {
      return data;
    }
    this.#data.push(data);
    return this.#data.take();
  }

  /** A small part of a large chunk is copied: whoever keeps the message is not to keep the whole chunk with it. */
  #piece(bytes: Uint8Array, start: number, end: number): Uint8Array {
    const piece = bytes.subarray(start, end);
    if (piece.length * 2 >= bytes.buffer.byteLength) {
      return piece;
    }
    const copy = this.#slab.take(piece.length);
    copy.set(piece);
    return copy;
  }
}

const nothing = new Uint8Array(0);
