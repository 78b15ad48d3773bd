import { isSmallOrder } from "./curve-point.ts";
import { verifyEd25519 } from "./ed25519.ts";
import type { EndpointId } from "./endpoint-id.ts";

/**
 * Whether `signature` was made for `message` by the peer `id`. As strict as iroh (ed25519-dalek's `verify_strict`): S is
 * below the group order, the equation holds without the cofactor, R is in its canonical encoding, and neither the key nor
 * R is of small order, with which one signature would fit many messages. Takes about 0.2 ms.
 */
export function verify(id: EndpointId, message: Uint8Array, signature: Uint8Array): boolean {
  const { bytes } = id;
  return (
    signature.length === 64 &&
    verifyEd25519(bytes, message, signature) &&
    !isSmallOrder(bytes) &&
    !isSmallOrder(signature.subarray(0, 32))
  );
}
