import { ByteReader } from "../../base/byte-reader.ts";
import { decodeHuffman, longestHuffmanCode } from "./huffman.ts";
import { QpackError, type QpackErrorCode } from "./qpack-error.ts";

/**
 * Reads the two primitives that QPACK is made of (RFC 9204 §4.1) off whole or partial input. Input that ends too early
 * throws UnexpectedEndError and leaves the reader wherever it was; what no more input could mend throws QpackError.
 */
export class PrimitiveReader extends ByteReader {
  readonly #code: QpackErrorCode;

  /**
   * @param bytes borrowed
   * @param code what a malformed primitive is on this stream
   */
  constructor(bytes: Uint8Array, code: QpackErrorCode, offset = 0) {
    super(bytes, offset);
    this.#code = code;
  }

  /** The next byte, without consuming it: its high bits say what follows. */
  peekU8(): number {
    return this.peek() ?? this.u8();
  }

  /**
   * An integer that begins in the low `prefixBits` bits of the next byte (RFC 7541 §5.1). Values above 2^53-1 come back as
   * Infinity, which is above every limit that a caller compares with; values above 2^62 are malformed.
   */
  prefixedInteger(prefixBits: number): number {
    const prefixMax = (1 << prefixBits) - 1;
    let value = this.u8() & prefixMax;
    if (value < prefixMax) {
      return value;
    }
    // Nine more bytes hold 63 bits. A tenth could only be padding or too much.
    let weight = 1;
    for (let count = 0; count < 9; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * weight;
      if (byte < 0x80) {
        if (value > 2 ** 62) {
          break;
        }
        return value <= Number.MAX_SAFE_INTEGER ? value : Number.POSITIVE_INFINITY;
      }
      weight *= 0x80;
    }
    throw this.malformed("integer above 2^62");
  }

  /**
   * A string whose length begins in the low `prefixBits` bits of the next byte, with the Huffman flag in the bit above
   * (RFC 9204 §4.1.2). One that must come out longer than `maxLength` chars is malformed, as soon as its length is known:
   * so there is a bound to how much of a string is ever waited for.
   */
  stringLiteral(prefixBits: number, maxLength: number): string {
    const huffman = (this.peekU8() & (1 << prefixBits)) !== 0;
    const length = this.prefixedInteger(prefixBits);
    const leastChars = huffman ? Math.floor((length * 8) / longestHuffmanCode) : length;
    if (leastChars > maxLength) {
      throw this.malformed(`string of ${length} bytes where ${maxLength} chars are the limit`);
    }
    const bytes = this.bytes(length);
    if (!huffman) {
      return textFromBytes(bytes, length);
    }
    const chars = scratchOf(Math.floor((length * 8) / 5));
    const count = decodeHuffman(bytes, chars);
    if (count === undefined) {
      throw this.malformed("invalid Huffman code");
    }
    if (count > maxLength) {
      throw this.malformed(`string of ${count} chars where ${maxLength} are the limit`);
    }
    return textFromBytes(chars, count);
  }

  /** The error for input that is wrong, with the code of this stream. */
  malformed(what: string): QpackError {
    return new QpackError(this.#code, `invalid QPACK at byte ${this.offset}: ${what}`);
  }
}

// Decoded chars stand here between the Huffman decoder and the string made of them. Longer ones get memory of their own.
const scratch = new Uint8Array(4096);

function scratchOf(length: number): Uint8Array {
  return length <= scratch.length ? scratch : new Uint8Array(length);
}

/**
 * The first `length` of `bytes` as text, one char per byte. By eights: it takes half the time of a char at a time, and of
 * one call with all of them.
 */
function textFromBytes(bytes: Uint8Array, length: number): string {
  let text = "";
  let i = 0;
  for (; i + 8 <= length; i += 8) {
    text += String.fromCharCode(
      byteAt(bytes, i),
      byteAt(bytes, i + 1),
      byteAt(bytes, i + 2),
      byteAt(bytes, i + 3),
      byteAt(bytes, i + 4),
      byteAt(bytes, i + 5),
      byteAt(bytes, i + 6),
      byteAt(bytes, i + 7),
    );
  }
  for (; i < length; i++) {
    text += String.fromCharCode(byteAt(bytes, i));
  }
  return text;
}

/** A byte that is known to be there. */
function byteAt(bytes: Uint8Array, index: number): number {
  return bytes[index] as number;
}
