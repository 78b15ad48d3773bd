// The private key files of OpenSSH (its PROTOCOL.key), in which older iroh programs keep their key:
//
//   "openssh-key-v1" 0, cipher, KDF, KDF options, number of keys, public keys, and a part that could be encrypted:
//   twice the same number, then for each key its type, public key, private key (seed and public key) and comment.
//
// Texts and parts have their length before them, 32 bits.

import { ByteReader, UnexpectedEndError } from "../base/byte-reader.ts";
import { IdentityError } from "./identity-error.ts";
import { keyLength } from "./key-text.ts";

/** The kind of block that it is in. */
export const opensshLabel = "OPENSSH PRIVATE KEY";

/**
 * The seed of the one Ed25519 key that a file holds which is not encrypted. Throws {@link IdentityError} `invalid-key`;
 * nothing of the key is in the message.
 */
export function decodeOpensshKey(file: Uint8Array): Uint8Array {
  try {
    const reader = new ByteReader(file);
    expect(text(reader.bytes(magic.length)) === magic, "it does not begin as such a file does");
    expect(text(part(reader)) === "none" && text(part(reader)) === "none", "it is encrypted");
    part(reader);
    expect(reader.u32() === 1, "it does not hold one key");
    part(reader);
    return decodeKey(new ByteReader(part(reader)));
  } catch (error) {
    throw error instanceof UnexpectedEndError ? invalid("it is cut short") : error;
  }
}

function decodeKey(reader: ByteReader): Uint8Array {
  const check = reader.u32();
  expect(reader.u32() === check, "its two check numbers differ");
  expect(text(part(reader)) === "ssh-ed25519", "its key is not Ed25519");
  const publicKey = part(reader);
  const privateKey = part(reader);
  expect(privateKey.length === 2 * keyLength, "its key has another length");
  const same = publicKey.every((byte, index) => privateKey[keyLength + index] === byte);
  expect(
    publicKey.length === keyLength && same,
    "its public and private key do not belong together",
  );
  return privateKey.slice(0, keyLength);
}

const magic = "openssh-key-v1\0";

function part(reader: ByteReader): Uint8Array {
  return reader.bytes(reader.u32());
}

function text(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}

function expect(condition: boolean, problem: string): void {
  if (!condition) {
    throw invalid(problem);
  }
}

function invalid(problem: string): IdentityError {
  return new IdentityError("invalid-key", `invalid secret key in OpenSSH's format: ${problem}`);
}
