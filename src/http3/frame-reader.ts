import { ByteReader } from "../base/byte-reader.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { varintLengthOf } from "../base/varint.ts";

/**
 * Cuts the bytes of a stream into frames (RFC 9114 §7.1), however they arrive. Order of calls:
 * `push` bytes, then `next` until it returns false; after each `next` that returned true, take the payload with
 * `piece` (as it comes), `whole` (all at once) or `skip`, until `left` is 0.
 */
export class FrameReader {
  #input: ByteReader = nothing;
  #type = 0;
  #left = 0;
  /** The type of a frame was read, its length not yet. */
  #inHeader = false;
  /** What has arrived of a payload that is wanted whole. */
  #parts: ByteWriter | undefined;

  /** Type of the current frame; Infinity for one above 2^53-1. */
  get type(): number {
    return this.#type;
  }

  /** Payload bytes of the current frame that were not taken yet; Infinity for 2^53-1 and more. */
  get left(): number {
    return this.#left;
  }

  /** Bytes kept of a payload that is wanted whole. */
  get keptBytes(): number {
    return this.#parts?.length ?? 0;
  }

  /** True between frames: the stream may end here. */
  get atBoundary(): boolean {
    return this.#left === 0 && !this.#inHeader && this.#input.remaining === 0;
  }

  /** Adds bytes. They are kept until they were taken; payload views share their memory. */
  push(bytes: Uint8Array): void {
    if (this.#input.remaining === 0) {
      this.#input = new ByteReader(bytes);
      return;
    }
    // Rare: a frame header that was cut, at most 7 bytes, or what arrived while nobody took frames.
    const rest = this.#input.rest();
    const joined = new Uint8Array(rest.length + bytes.length);
    joined.set(rest);
    joined.set(bytes, rest.length);
    this.#input = new ByteReader(joined);
  }

  /** Goes on to the next frame. False: its header has not arrived whole. */
  next(): boolean {
    if (!this.#inHeader) {
      const type = this.#varint();
      if (type === undefined) {
        return false;
      }
      this.#type = type;
      this.#inHeader = true;
    }
    const length = this.#varint();
    if (length === undefined) {
      return false;
    }
    this.#inHeader = false;
    this.#left = length;
    return true;
  }

  /** The next bytes of the payload, a view. Undefined when more have to arrive, or it was taken to its end. */
  piece(): Uint8Array | undefined {
    const count = Math.min(this.#left, this.#input.remaining);
    return count === 0 ? undefined : this.#take(count);
  }

  /** The whole payload once it has arrived, as a view. Undefined when more has to arrive. */
  whole(): Uint8Array | undefined {
    if (this.#parts === undefined && this.#left <= this.#input.remaining) {
      return this.#take(this.#left);
    }
    this.#parts ??= new ByteWriter();
    const piece = this.piece();
    if (piece !== undefined) {
      this.#parts.bytes(piece);
    }
    if (this.#left > 0) {
      return undefined;
    }
    const payload = this.#parts.finish();
    this.#parts = undefined;
    return payload;
  }

  /** Takes what has arrived of the payload and forgets it. */
  skip(): void {
    this.piece();
  }

  /** Forgets everything: no more will be read. */
  discard(): void {
    this.#input = nothing;
    this.#parts = undefined;
  }

  #take(count: number): Uint8Array {
    const input = this.#input;
    this.#left -= count;
    const bytes = input.bytes(count);
    this.#forgetIfEmpty();
    return bytes;
  }

  /** Undefined when it has not arrived whole. */
  #varint(): number | undefined {
    const input = this.#input;
    const first = input.peek();
    if (first === undefined) {
      return undefined;
    }
    if (input.remaining < varintLengthOf(first)) {
      // A view would keep all of a large chunk in memory for these few bytes.
      this.#input = new ByteReader(input.rest().slice());
      return undefined;
    }
    const value = input.varintNumber();
    this.#forgetIfEmpty();
    return value;
  }

  /** An idle stream shall not keep the chunk that it read last. */
  #forgetIfEmpty(): void {
    if (this.#input.remaining === 0) {
      this.#input = nothing;
    }
  }
}

const nothing = new ByteReader(new Uint8Array(0));
