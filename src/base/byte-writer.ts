import { maxVarint, varintLength } from "./varint.ts";

/**
 * Builds a byte string. Grows by itself; integers are big-endian, and of one that is too large the low bits are written.
 */
export class ByteWriter {
  #buffer: Uint8Array;
  #length = 0;

  /** @param capacity bytes to reserve at first; the writer doubles when it runs out. Default 64. */
  constructor(capacity = 64) {
    this.#buffer = new Uint8Array(capacity);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
    return this;
  }

  u16(value: number): this {
    this.#reserve(2);
    this.#buffer[this.#length++] = value >>> 8;
    this.#buffer[this.#length++] = value;
    return this;
  }

  u32(value: number): this {
    this.#reserve(4);
    this.#buffer[this.#length++] = value >>> 24;
    this.#buffer[this.#length++] = value >>> 16;
    this.#buffer[this.#length++] = value >>> 8;
    this.#buffer[this.#length++] = value;
    return this;
  }

  u64(value: bigint): this {
    return this.u32(Number((value >> 32n) & 0xffff_ffffn)).u32(Number(value & 0xffff_ffffn));
  }

  /** Copies `bytes`. */
  bytes(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** A QUIC varint (RFC 9000 §16) in its shortest form. Throws RangeError when the value does not fit. */
  varint(value: number | bigint): this {
    if (typeof value === "bigint") {
      if (value <= BigInt(Number.MAX_SAFE_INTEGER)) {
        return this.varint(Number(value));
      }
      if (value > maxVarint) {
        throw new RangeError(`cannot encode varint: ${value} is above 2^62-1`);
      }
      return this.u64(value | (3n << 62n));
    }
    switch (varintLength(value)) {
      case 1:
        return this.u8(value);
      case 2:
        return this.u16(value | 0x4000);
      case 4:
        return this.u32(value | 0x8000_0000);
      case 8:
        return this.u32(Math.floor(value / 0x1_0000_0000) | 0xc000_0000).u32(value >>> 0);
    }
  }

  /** A view of what was written. It keeps its content unless `clear` is called and more is written. */
  finish(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Forgets what was written and keeps the memory. Views given out by `finish` are overwritten from then on. */
  clear(): void {
    this.#length = 0;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
      grown.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = grown;
    }
  }
}
