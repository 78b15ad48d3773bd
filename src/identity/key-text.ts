import { decodeBase32 } from "../base/base32.ts";
import { EncodingError } from "../base/encoding-error.ts";
import { decodeHex } from "../base/hex.ts";

/** Bytes of a key, public or secret. */
export const keyLength = 32;

/** Digits of a key in hex. */
export const hexLength = 64;
/** Digits of a key in base32. */
export const base32Length = 52;

/**
 * The bytes of a key in one of the two texts that iroh reads: 64 lower-case hexadecimal digits, or 52 of RFC 4648 base32
 * in any letter case. Throws {@link EncodingError}.
 */
export function parseKeyText(text: string): Uint8Array {
  if (text.length === hexLength) {
    return decodeHex(text);
  }
  if (text.length === base32Length) {
    return decodeBase32(text);
  }
  throw new EncodingError(
    `${text.length} characters, expected ${hexLength} hexadecimal digits or ${base32Length} of base32`,
  );
}
