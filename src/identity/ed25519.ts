// What Node's crypto does with the keys of peers.

import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { pkcs8Prefix } from "./pem.ts";

/** What can be done with a secret key. */
export interface Ed25519Key {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Signs as RFC 8032 §5.1.6 says; 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
}

/** SubjectPublicKeyInfo before the 32 bytes of the key (RFC 8410 §4). */
const spkiPrefix = Uint8Array.of(0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0);

/** The key of a 32-byte seed. */
export function ed25519Key(seed: Uint8Array): Ed25519Key {
  const privateKey = createPrivateKey({
    key: Buffer.concat([pkcs8Prefix, seed]),
    format: "der",
    type: "pkcs8",
  });
  const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  return {
    publicKey: new Uint8Array(spki.subarray(spkiPrefix.length)),
    sign: (message) => new Uint8Array(sign(null, message, privateKey)),
  };
}

/**
 * Whether the signature is right by RFC 8032 §5.1.7 without the cofactor: S is below the group order, and R, byte for
 * byte, is what S, the key and the message give. Some releases of Node.js (20 and 22) take keys and R of small order, so
 * for those it proves nothing.
 */
export function verifyEd25519(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const key = createPublicKey({
    key: Buffer.concat([spkiPrefix, publicKey]),
    format: "der",
    type: "spki",
  });
  return verify(null, message, key, signature);
}
