import { varintLengthOf } from "./varint.ts";

/** Thrown by {@link ByteReader} when the input ends before the value that is being read. */
export class UnexpectedEndError extends Error {
  override readonly name = "UnexpectedEndError";
  constructor(wanted: number, left: number) {
    super(`unexpected end of input: wanted ${wanted} bytes, ${left} left`);
  }
}

/**
 * Reads values off a byte string, front to back; integers are big-endian.
 * Every read past the end throws {@link UnexpectedEndError} and consumes nothing.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset: number;

  /** @param bytes borrowed: views that the reader returns share its memory */
  constructor(bytes: Uint8Array, offset = 0) {
    this.#bytes = bytes;
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
      throw new UnexpectedEndError(1, 0);
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
    const length = varintLengthOf(this.#bytes[this.#offset] ?? 0);
    this.#need(length);
    switch (length) {
      case 1:
        return BigInt(this.u8());
      case 2:
        return BigInt(this.u16() & 0x3fff);
      case 4:
        return BigInt(this.u32() & 0x3fff_ffff);
      case 8:
        return this.u64() & 0x3fff_ffff_ffff_ffffn;
    }
  }

  /**
   * A QUIC varint as a number. Values above 2^53-1 come back as Infinity, which is above every limit
   * that a caller compares with: no length, id or count that we accept is that large.
   */
  varintNumber(): number {
    const length = varintLengthOf(this.#bytes[this.#offset] ?? 0);
    this.#need(length);
    switch (length) {
      case 1:
        return this.u8();
      case 2:
        return this.u16() & 0x3fff;
      case 4:
        return this.u32() & 0x3fff_ffff;
      case 8: {
        const value = (this.u32() & 0x3fff_ffff) * 0x1_0000_0000 + this.u32();
        return Number.isSafeInteger(value) ? value : Number.POSITIVE_INFINITY;
      }
    }
  }

  #need(count: number): void {
    if (this.remaining < count) {
      throw new UnexpectedEndError(count, this.remaining);
    }
  }
}
