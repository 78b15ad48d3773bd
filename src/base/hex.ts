import { EncodingError, notADigit } from "./encoding-error.ts";

const pairs: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** Two lower-case digits for each byte. */
export function encodeHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    text += pairs[byte];
  }
  return text;
}

/** Reads lower-case digits alone, so that equal bytes have one text. Throws {@link EncodingError}. */
export function decodeHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length >> 1);
  for (let index = 0; index < text.length; index++) {
    const digit = digitValue(text.charCodeAt(index));
    if (digit === undefined) {
      throw notADigit(text, index, "lower-case hexadecimal");
    }
    bytes[index >> 1] = ((bytes[index >> 1] ?? 0) << 4) | digit;
  }
  if (text.length % 2 !== 0) {
    throw new EncodingError(`odd number of hexadecimal digits: ${text.length}`);
  }
  return bytes;
}

function digitValue(charCode: number): number | undefined {
  if (charCode >= 0x30 && charCode <= 0x39) {
    return charCode - 0x30;
  }
  return charCode >= 0x61 && charCode <= 0x66 ? charCode - 0x61 + 10 : undefined;
}
