import { varintLengthOf } from "./varint.ts";

/** Thrown when the input ends before the value that is being read. */
export class UnexpectedEndError extends Error {
  override readonly name = "UnexpectedEndError";
  /** Where the value began that was cut short: an index into the bytes that the reader was given. */
  readonly offset: number;

  constructor(wanted: number, left: number, offset: number) {
    super(`unexpected end of input at byte ${offset}: wanted ${wanted}, ${left} left`);
    this.offset = offset;
  }
}

/**
 * Reads values off a byte string, front to back; integers are big-endian.
 * Every read past the end throws {@link UnexpectedEndError} and consumes nothing.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset: number;

  /** @param bytes borrowed: the views that the reader returns share its memory (and are never a Buffer) */
  constructor(bytes: Uint8Array, offset = 0) {
    this.#bytes =
      bytes.constructor === Uint8Array
        ? bytes
        : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#offset = offset;
  }

  /** Index of the next byte to be read. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    const value = this.#bytes[this.#offset];
    if (value === undefined) {
      throw new UnexpectedEndError(1, 0, this.#offset);
    }
    this.#offset += 1;
    return value;
  }

  /** The next byte without consuming it, or undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#offset];
  }

  u16(): number {
    this.#need(2);
    return this.u8() * 0x100 + this.u8();
  }

  u32(): number {
    this.#need(4);
    return this.u16() * 0x1_0000 + this.u16();
  }

  u64(): bigint {
    this.#need(8);
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  /** A view of the next `count` bytes. */
  bytes(count: number): Uint8Array {
    this.#need(count);
    const view = this.#bytes.subarray(this.#offset, this.#offset + count);
    this.#offset += count;
    return view;
  }

  /** A view of all that is left. */
  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  /** A QUIC varint (RFC 9000 §16), of any of the lengths that can hold it. */
  varint(): bigint {
    return varintLengthOf(this.#bytes[this.#offset] ?? 0) === 8
      ? this.u64() & 0x3fff_ffff_ffff_ffffn
      : BigInt(this.varintNumber());
  }

  /**
   * A QUIC varint as a number. Values above 2^53-1 come back as Infinity, which is above every limit
   * that a caller compares with: no length, id or count that we accept is that large.
   */
  varintNumber(): number {
    // Several of these are read for every frame: in a straight line it takes half the time that u8, u16 and u32 take.
    const bytes = this.#bytes;
    const at = this.#offset;
    const first = bytes[at] ?? 0;
    const length = varintLengthOf(first);
    this.#need(length);
    this.#offset = at + length;
    if (length === 1) {
      return first;
    }
    let value = ((first & 0x3f) << 8) | byteAt(bytes, at + 1);
    if (length === 2) {
      return value;
    }
    value = value * 0x1_0000 + ((byteAt(bytes, at + 2) << 8) | byteAt(bytes, at + 3));
    if (length === 4) {
      return value;
    }
    value =
      value * 0x1_0000_0000 +
      byteAt(bytes, at + 4) * 0x100_0000 +
      ((byteAt(bytes, at + 5) << 16) | (byteAt(bytes, at + 6) << 8) | byteAt(bytes, at + 7));
    return Number.isSafeInteger(value) ? value : Number.POSITIVE_INFINITY;
  }

  #need(count: number): void {
    if (count > this.remaining) {
      throw new UnexpectedEndError(count, this.remaining, this.#offset);
    }
  }
}

/** A byte that is known to be there. */
function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] as number;
}
