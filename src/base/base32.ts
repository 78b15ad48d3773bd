import { EncodingError, notADigit } from "./encoding-error.ts";

// Five bits to a digit, high bits first, no padding. Bytes that do not fill the last digit are followed by zero bits.

interface Alphabet {
  readonly name: string;
  readonly digits: string;
  /** The value of each digit by its character code. */
  readonly values: ReadonlyMap<number, number>;
}

/** RFC 4648 §6, written in lower case and read in any. */
const rfc4648 = alphabet("base32", "abcdefghijklmnopqrstuvwxyz234567", true);
/** Zooko's alphabet, in lower case alone: the names of keys in DNS. */
const zooko = alphabet("z-base-32", "ybndrfg8ejkmcpqxot1uwisza345h769", false);

/** RFC 4648 base32 in lower case without padding. */
export function encodeBase32(bytes: Uint8Array): string {
  return encode(rfc4648, bytes);
}

/**
 * Reads RFC 4648 base32 without padding, in any letter case. Throws {@link EncodingError}, also where bits are left over
 * that are not zero.
 * @param start index at which the digits begin
 */
export function decodeBase32(text: string, start = 0): Uint8Array {
  return decode(rfc4648, text, start);
}

/** z-base-32 as pkarr writes it: whole bytes, lower case, no padding. */
export function encodeZ32(bytes: Uint8Array): string {
  return encode(zooko, bytes);
}

/** Reads what {@link encodeZ32} writes and nothing else. Throws {@link EncodingError}. */
export function decodeZ32(text: string): Uint8Array {
  return decode(zooko, text, 0);
}

function alphabet(name: string, digits: string, anyCase: boolean): Alphabet {
  const values = new Map<number, number>();
  for (const [value, digit] of [...digits].entries()) {
    values.set(digit.charCodeAt(0), value);
    if (anyCase) {
      values.set(digit.toUpperCase().charCodeAt(0), value);
    }
  }
  return { name, digits, values };
}

function encode({ digits }: Alphabet, bytes: Uint8Array): string {
  let text = "";
  let pending = 0;
  let bits = 0;
  for (const byte of bytes) {
    pending = ((pending << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) {
      text += digits[(pending >> (bits - 5)) & 31];
    }
  }
  return bits === 0 ? text : text + digits[(pending << (5 - bits)) & 31];
}

function decode({ name, values }: Alphabet, text: string, start: number): Uint8Array {
  const bytes = new Uint8Array(Math.floor(((text.length - start) * 5) / 8));
  let length = 0;
  let pending = 0;
  let bits = 0;
  for (let index = start; index < text.length; index++) {
    const value = values.get(text.charCodeAt(index));
    if (value === undefined) {
      throw notADigit(text, index, name);
    }
    pending = ((pending << 5) | value) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[length++] = pending >> bits;
    }
  }
  if (bits >= 5) {
    throw new EncodingError(`${text.length - start} digits of ${name} do not make whole bytes`);
  }
  if ((pending & ((1 << bits) - 1)) !== 0) {
    throw new EncodingError(
      `the last digit of ${name} has bits that no byte takes`,
      text.length - 1,
    );
  }
  return bytes;
}
