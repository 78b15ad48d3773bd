import { Point } from "@noble/ed25519";
import { decodeHex } from "../base/hex.ts";

/**
 * Whether 32 bytes decompress to a point of edwards25519. As lenient as iroh: points of small order and y coordinates
 * that are not reduced are points. Takes about 0.2 ms.
 */
export function isCurvePoint(bytes: Uint8Array): boolean {
  return decompress(bytes) !== undefined;
}

/**
 * Whether the point is one of the eight that a signature can be forged with, in any encoding; false for a non-point. Their
 * encodings are few, so that this is no arithmetic: the sign of x, in the last bit, does not matter.
 */
export function isSmallOrder(bytes: Uint8Array): boolean {
  return smallOrderYs.some((y) =>
    y.every((byte, index) => byte === (index === 31 ? (bytes[31] ?? 0) & 0x7f : bytes[index])),
  );
}

function decompress(bytes: Uint8Array): Point | undefined {
  try {
    return Point.fromBytes(bytes, true);
  } catch {
    return undefined;
  }
}

/** The y coordinates of the eight points, little-endian, and those of them that are not reduced. */
const smallOrderYs: readonly Uint8Array[] = [
  // 0, 1 and -1.
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  // Of the four points of order 8.
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  // 0 and 1, plus the order of the field.
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
].map(decodeHex);
