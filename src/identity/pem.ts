// An Ed25519 private key in PEM (RFC 7468), PKCS#8 inside (RFC 8410 §7):
//
//   SEQUENCE { version 0, { id-Ed25519 }, OCTET STRING { OCTET STRING seed } }
//
// Version 1 (RFC 5958 §2) may hold attributes and the public key after that; Rust programs write it. Node's own reader
// refuses it, so the few bytes are read here.

import { IdentityError } from "./identity-error.ts";
import { keyLength } from "./key-text.ts";
import { decodeOpensshKey, opensshLabel } from "./openssh-key.ts";

/** What stands before the seed in version 0. */
export const pkcs8Prefix: Uint8Array = Uint8Array.of(
  ...[0x30, 0x2e, 0x02, 1, 0],
  ...[0x30, 5, 0x06, 3, 0x2b, 0x65, 0x70],
  ...[0x04, 0x22, 0x04, 0x20],
);

const label = "PRIVATE KEY";

/** PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it. */
export function encodePem(seed: Uint8Array): string {
  const base64 = btoa(String.fromCharCode(...pkcs8Prefix, ...seed));
  return `-----BEGIN ${label}-----\n${base64}\n-----END ${label}-----\n`;
}

/** The seed of the first block in the text, of PKCS#8 or of OpenSSH. Throws {@link IdentityError} `invalid-key`. */
export function decodePem(text: string): Uint8Array {
  const [, found, base64 = ""] =
    /-----BEGIN ([A-Z0-9 ]{1,64})-----([^-]*)-----END \1-----/.exec(text) ?? [];
  if (found === undefined) {
    throw invalid("no complete block from -----BEGIN to -----END");
  }
  if (found === opensshLabel) {
    return decodeOpensshKey(decodeBase64(base64));
  }
  if (found !== label) {
    throw invalid(`a block "${found}", expected "${label}" (PKCS#8, not encrypted)`);
  }
  return decodePkcs8(decodeBase64(base64));
}

function decodePkcs8(der: Uint8Array): Uint8Array {
  // The length of the whole takes one byte, or two where public key and attributes are long.
  const body = der.subarray(der[1] === 0x81 ? 3 : 2);
  const start = pkcs8Prefix.length - 2;
  const matches = pkcs8Prefix
    .subarray(2)
    .every((byte, at) => body[at] === byte || (at === versionAt && body[at] === 1));
  if (der[0] !== pkcs8Prefix[0] || !matches || body.length < start + keyLength) {
    throw invalid("not an Ed25519 key");
  }
  return body.slice(start, start + keyLength);
}

/** Of the version number, behind the outermost tag and length. */
const versionAt = 2;

function decodeBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (symbol) => symbol.charCodeAt(0));
  } catch {
    throw invalid("not base64");
  }
}

function invalid(problem: string): IdentityError {
  return new IdentityError("invalid-key", `invalid secret key in PEM: ${problem}`);
}
