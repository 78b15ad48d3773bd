// Variable-length integers of QUIC (RFC 9000 §16): the two high bits of the first byte give the length.
//
//   00 → 1 byte, 6 bits    01 → 2 bytes, 14 bits    10 → 4 bytes, 30 bits    11 → 8 bytes, 62 bits

/** The largest value that the encoding can carry: 2^62 - 1. */
export const maxVarint: bigint = (1n << 62n) - 1n;

/** How many bytes the encoding of `value` takes: 1, 2, 4 or 8. Throws RangeError outside 0..2^53-1. */
export function varintLength(value: number): 1 | 2 | 4 | 8 {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`cannot encode varint: ${value} is not an integer from 0 to 2^53-1`);
  }
  return value < 0x40 ? 1 : value < 0x4000 ? 2 : value < 0x4000_0000 ? 4 : 8;
}

/** Length of the encoding that starts with `firstByte`: 1, 2, 4 or 8. */
export function varintLengthOf(firstByte: number): 1 | 2 | 4 | 8 {
  return (1 << (firstByte >> 6)) as 1 | 2 | 4 | 8;
}
