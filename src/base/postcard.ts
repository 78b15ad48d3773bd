// Postcard (https://postcard.jamesmunns.com/wire-format), the encoding of iroh's tickets and relay handshake: fields one
// after the other without names, integers as LEB128 varints (7 bits to a byte, low bits first, the high bit says that
// more follow), lengths before what they count.

import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";

/** Thrown by {@link PostcardReader} for a value that no encoder writes. */
export class PostcardError extends Error {
  override readonly name = "PostcardError";
  /** Where the value began: an index into the bytes that the reader was given. */
  readonly offset: number;

  constructor(problem: string, offset: number, options?: { cause?: unknown }) {
    super(`${problem} at byte ${offset}`, options);
    this.offset = offset;
  }
}

/**
 * Reads postcard values, front to back. Throws {@link PostcardError}, or UnexpectedEndError where the input is cut off.
 * Varints may be longer than needed, up to the longest that their type can take.
 */
export class PostcardReader {
  readonly #reader: ByteReader;

  /** @param bytes borrowed: byte strings that the reader returns share its memory */
  constructor(bytes: Uint8Array) {
    this.#reader = new ByteReader(bytes);
  }

  /** Index of the next byte to be read. */
  get offset(): number {
    return this.#reader.offset;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#reader.remaining;
  }

  u16(): number {
    return Number(this.#varint(16));
  }

  /** A u32, or the number of an enum's variant. */
  u32(): number {
    return Number(this.#varint(32));
  }

  u64(): bigint {
    return this.#varint(64);
  }

  /** How many elements follow. Above 2^53 it is not exact, which no input is long enough for. */
  count(): number {
    return Number(this.#varint(64));
  }

  /** A view of `length` bytes that stand without a length before them. */
  fixedBytes(length: number): Uint8Array {
    return this.#reader.bytes(length);
  }

  /** A view of a byte string with its length before it. */
  bytes(): Uint8Array {
    return this.#reader.bytes(this.count());
  }

  /** A UTF-8 string with its length before it. */
  string(): string {
    const { offset } = this;
    const bytes = this.bytes();
    try {
      return utf8.decode(bytes);
    } catch (error) {
      throw new PostcardError("text is not UTF-8", offset, { cause: error });
    }
  }

  #varint(bits: 16 | 32 | 64): bigint {
    const { offset } = this;
    let value = 0n;
    for (let shift = 0; shift < bits; shift += 7) {
      const byte = this.#reader.u8();
      value |= BigInt(byte & 0x7f) << BigInt(shift);
      if (byte < 0x80) {
        if (value >> BigInt(bits) !== 0n) {
          throw new PostcardError(`number does not fit ${bits} bits`, offset);
        }
        return value;
      }
    }
    throw new PostcardError(`number is longer than ${Math.ceil(bits / 7)} bytes`, offset);
  }
}

/** Builds postcard values, varints in their shortest form. */
export class PostcardWriter {
  readonly #writer: ByteWriter = new ByteWriter();

  /** An unsigned integer of any width, an enum's variant, or how many elements follow. */
  varint(value: number | bigint): this {
    let rest = BigInt(value);
    if (rest < 0n || rest >> 64n !== 0n) {
      throw new RangeError(`cannot encode ${value}: it does not fit 64 bits`);
    }
    for (; rest > 0x7fn; rest >>= 7n) {
      this.#writer.u8(Number(rest & 0x7fn) | 0x80);
    }
    this.#writer.u8(Number(rest));
    return this;
  }

  /** Copies `bytes`, without a length before them. */
  fixedBytes(bytes: Uint8Array): this {
    this.#writer.bytes(bytes);
    return this;
  }

  /** Copies `bytes`, their length before them. */
  bytes(bytes: Uint8Array): this {
    return this.varint(bytes.length).fixedBytes(bytes);
  }

  string(text: string): this {
    return this.bytes(new TextEncoder().encode(text));
  }

  /** What was written. */
  finish(): Uint8Array {
    return this.#writer.finish();
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
