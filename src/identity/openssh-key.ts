// The private key files of OpenSSH (its PROTOCOL.key), in which iroh-doctor and others keep their key:
//
//   "openssh-key-v1" 0, cipher, KDF, KDF options, number of keys, public keys, and a part that could be encrypted:
//   twice the same number, then for each key its type, public key, private key (seed and public key) and comment.
//
// Texts and parts have their length before them, 32 bits. The last part is filled up with 1, 2, 3 … to a multiple of 8.

import { ByteReader, UnexpectedEndError } from "../base/byte-reader.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { concatBytes } from "../base/bytes.ts";
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
  expect(text(part(reader)) === keyType, "its key is not Ed25519");
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

/** The text of such a file, not encrypted and without a comment, as `ssh-keygen -t ed25519 -N ""` writes it. */
export function encodeOpensshKey(seed: Uint8Array, publicKey: Uint8Array): string {
  const key = new ByteWriter();
  // It shows whether a file was decrypted well: any number does where it is not encrypted.
  const check = publicKey.subarray(0, 4);
  key.bytes(check).bytes(check);
  putPart(key, keyType);
  putPart(key, publicKey);
  putPart(key, concatBytes([seed, publicKey]));
  putPart(key, "");
  for (let filling = 1; key.length % 8 !== 0; filling++) {
    key.u8(filling);
  }
  const publicPart = new ByteWriter();
  putPart(publicPart, keyType);
  putPart(publicPart, publicKey);
  const file = new ByteWriter();
  file.bytes(latin1(magic));
  for (const text of ["none", "none", ""]) {
    putPart(file, text);
  }
  file.u32(1);
  putPart(file, publicPart.finish());
  putPart(file, key.finish());
  const base64 = btoa(String.fromCharCode(...file.finish())).replace(/.{70}(?=.)/g, "$&\n");
  return `-----BEGIN ${opensshLabel}-----\n${base64}\n-----END ${opensshLabel}-----\n`;
}

const magic = "openssh-key-v1\0";
const keyType = "ssh-ed25519";

function putPart(writer: ByteWriter, part: Uint8Array | string): void {
  const bytes = typeof part === "string" ? latin1(part) : part;
  writer.u32(bytes.length).bytes(bytes);
}

function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (symbol) => symbol.charCodeAt(0));
}

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
