/** The largest application error code: 62 bits (RFC 9000 §16). */
const maxCode = (1n << 62n) - 1n;

/** Returns `code`; throws RangeError when the wire cannot carry it. */
export function checkedCode(code: bigint): bigint {
  if (code < 0n || code > maxCode) {
    throw new RangeError(`invalid error code: ${code} is not from 0 to 2^62-1`);
  }
  return code;
}
