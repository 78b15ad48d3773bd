import { Point } from "@noble/ed25519";

/**
 * Whether 32 bytes decompress to a point of edwards25519. As lenient as iroh: points of small order and y coordinates
 * that are not reduced are points. Takes about 0.2 ms.
 */
export function isCurvePoint(bytes: Uint8Array): boolean {
  return decompress(bytes) !== undefined;
}

/** Whether the point is one of the eight that a signature can be forged with, in any encoding; false for a non-point. */
export function isSmallOrder(bytes: Uint8Array): boolean {
  return decompress(bytes)?.isSmallOrder() === true;
}

function decompress(bytes: Uint8Array): Point | undefined {
  try {
    return Point.fromBytes(bytes, true);
  } catch {
    return undefined;
  }
}
