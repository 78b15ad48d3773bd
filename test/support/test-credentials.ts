import { createPrivateKey, createPublicKey, sign } from "node:crypto";
import type { RawKeyCredentials } from "../../src/engine/engine.ts";

/** What stands before the seed in the PKCS #8 form of an Ed25519 private key (RFC 8410 §7). */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");

/** The same key for the same number. */
export function testCredentials(number: number): RawKeyCredentials {
  const seed = Buffer.alloc(32, number);
  const privateKey = createPrivateKey({
    key: Buffer.concat([pkcs8Prefix, seed]),
    format: "der",
    type: "pkcs8",
  });
  const spki = createPublicKey(privateKey).export({ format: "der", type: "spki" });
  return {
    type: "raw-key",
    publicKey: Uint8Array.from(spki.subarray(-32)),
    sign: (message) => Uint8Array.from(sign(null, message, privateKey)),
  };
}
