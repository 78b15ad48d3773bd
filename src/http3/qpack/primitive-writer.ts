import { encodeHuffman, huffmanLength } from "./huffman.ts";

/**
 * Writes the two primitives that QPACK is made of (RFC 9204 §4.1). Fields are many and short, and each call sends several:
 * so it keeps one buffer that grows, stores bytes there itself, and copies them out once.
 */
export class PrimitiveWriter {
  #buffer = nothing;
  #length = 0;

  /** Bytes written since the last `take` or `clear`. */
  get length(): number {
    return this.#length;
  }

  /**
   * An integer from 0 to 2^53-1 that begins in the low `prefixBits` bits of a byte (RFC 7541 §5.1); `flags` are the bits
   * above.
   */
  prefixedInteger(flags: number, prefixBits: number, value: number): this {
    this.#reserve(maxIntegerLength);
    const prefixMax = (1 << prefixBits) - 1;
    if (value < prefixMax) {
      this.#buffer[this.#length++] = flags | value;
      return this;
    }
    this.#buffer[this.#length++] = flags | prefixMax;
    let left = value - prefixMax;
    while (left >= 0x80) {
      this.#buffer[this.#length++] = (left % 0x80) | 0x80;
      left = Math.floor(left / 0x80);
    }
    this.#buffer[this.#length++] = left;
    return this;
  }

  /**
   * A string whose length begins in the low `prefixBits` bits of a byte; the Huffman flag is the bit above, `flags` the
   * ones above that (RFC 9204 §4.1.2). Huffman-encoded where that is shorter. Throws RangeError for a char above U+00FF,
   * before it writes anything.
   */
  stringLiteral(flags: number, prefixBits: number, text: string): this {
    const encodedLength = huffmanLength(text);
    if (encodedLength < text.length) {
      this.prefixedInteger(flags | (1 << prefixBits), prefixBits, encodedLength);
      this.#reserve(encodedLength);
      encodeHuffman(text, this.#buffer, this.#length);
      this.#length += encodedLength;
    } else {
      this.prefixedInteger(flags, prefixBits, text.length);
      this.#reserve(text.length);
      const buffer = this.#buffer;
      const start = this.#length;
      for (let i = 0; i < text.length; i++) {
        buffer[start + i] = text.charCodeAt(i);
      }
      this.#length += text.length;
    }
    return this;
  }

  /** What another writer holds. */
  append(other: PrimitiveWriter): this {
    this.#reserve(other.#length);
    const from = other.#buffer;
    const to = this.#buffer;
    const start = this.#length;
    for (let i = 0; i < other.#length; i++) {
      to[start + i] = from[i] ?? 0;
    }
    this.#length += other.#length;
    return this;
  }

  /** A copy of what was written; the writer is empty then. */
  take(): Uint8Array {
    const bytes = this.#buffer.slice(0, this.#length);
    this.clear();
    return bytes;
  }

  /** Forgets what was written. */
  clear(): void {
    this.#length = 0;
    if (this.#buffer.length > maxKeptMemory) {
      this.#buffer = new Uint8Array(maxKeptMemory);
    }
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2, leastMemory));
      grown.set(this.#buffer);
      this.#buffer = grown;
    }
  }
}

/** Most have nothing to write on most connections. */
const nothing = new Uint8Array(0);
const leastMemory = 64;

/** The prefix and 53 bits in groups of seven. */
const maxIntegerLength = 9;

/** A connection that sent a long section once does not hold its memory for ever. */
const maxKeptMemory = 4096;
