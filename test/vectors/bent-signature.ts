import { createHash } from "node:crypto";
import { etc, Point } from "@noble/ed25519";
import { EndpointId } from "../../src/identity/endpoint-id.ts";

/** Every encoding of the eight points of small order that decompresses, reduced or not, in hex. */
export const smallOrderEncodings: readonly string[] = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000080",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

/** A point of order 8, whose multiples are all points of small order. */
const torsion = Point.fromHex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");

export interface BentSignatureOptions {
  /** Which multiple of the point of order 8 is added to the public key. 0 leaves it as it should be. */
  readonly keyTorsion: number;
  /** The same for R. */
  readonly rTorsion: number;
  /** R without that, as a multiple of the base point. 0 leaves R of small order. */
  readonly rScalar: bigint;
}

export interface BentSignature {
  readonly id: EndpointId;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
  /** Whether the equation holds without the cofactor; with it, it always does. */
  readonly holds: boolean;
}

/** A signature by someone who has the secret key and bends the rules of RFC 8032. */
export function bentSignature(options: BentSignatureOptions): BentSignature {
  const { keyTorsion, rTorsion, rScalar } = options;
  const { n } = Point.CURVE();
  const secret = 0x1234_5678_9abc_def0n;
  const key = Point.BASE.multiply(secret).add(torsion.multiply(BigInt(keyTorsion), false));
  const r = Point.BASE.multiply(rScalar, false).add(torsion.multiply(BigInt(rTorsion), false));
  const message = Uint8Array.of(keyTorsion, rTorsion);
  const digest = createHash("sha512")
    .update(etc.concatBytes(r.toBytes(), key.toBytes(), message))
    .digest();
  const k = BigInt(`0x${digest.reverse().toString("hex")}`) % n;
  const s = (rScalar + k * secret) % n;
  const sBytes = Uint8Array.from({ length: 32 }, (_, at) => Number((s >> BigInt(8 * at)) & 0xffn));
  return {
    id: EndpointId.fromBytes(key.toBytes()),
    message,
    signature: etc.concatBytes(r.toBytes(), sBytes),
    holds: (BigInt(rTorsion) + k * BigInt(keyTorsion)) % 8n === 0n,
  };
}
