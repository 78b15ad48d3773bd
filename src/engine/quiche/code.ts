const maxCode = (1n << 62n) - 1n;

/**
 * An application error code as the native module takes it, which is a double. Throws RangeError for what the wire cannot
 * carry, and for what a double cannot: a code above 2^53 must be a multiple of a power of two.
 */
export function codeToNumber(code: bigint): number {
  if (code < 0n || code > maxCode) {
    throw new RangeError(`invalid error code: ${code} is not from 0 to 2^62-1`);
  }
  const number = Number(code);
  if (BigInt(number) !== code) {
    throw new RangeError(`invalid error code: quiche cannot send ${code} without rounding it`);
  }
  return number;
}
