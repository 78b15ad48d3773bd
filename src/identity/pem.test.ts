import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { decodeHex } from "../base/hex.ts";
import { IdentityError } from "./identity-error.ts";
import { decodePem, encodePem } from "./pem.ts";

function isInvalidKey(error: unknown): error is IdentityError {
  return error instanceof IdentityError && error.code === "invalid-key";
}

/** The example of RFC 8410 §10.3, and the same key with attributes and public key as it stands there (version 1). */
const seed = decodeHex("d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842");
const version0 = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
`;
const version1 = `-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
`;

test("PEM is as in the example (RFC 8410 §10.3)", () => {
  assert.equal(encodePem(seed), version0);
  assert.deepEqual(decodePem(version0), seed);
});

test("PEM with attributes and public key is read (RFC 5958 §2)", () => {
  assert.deepEqual(decodePem(version1), seed);
});

test("Node.js reads our PEM, and we read Node's", () => {
  const { privateKey } = generateKeyPairSync("ed25519");
  const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  assert.equal(encodePem(decodePem(pem)), pem);
  assert.equal(createPrivateKey(version0).asymmetricKeyType, "ed25519");
});

test("PEM may have other line ends and text around it (RFC 7468 §2)", () => {
  assert.deepEqual(decodePem(`key of a peer\r\n${version0.replaceAll("\n", "\r\n")}\r\n`), seed);
});

test("PEM of something else is an error that says what it is", () => {
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const x25519 = generateKeyPairSync("x25519").privateKey;
  const encrypted = createPrivateKey(version0).export({
    format: "pem",
    type: "pkcs8",
    cipher: "aes-128-cbc",
    passphrase: "x",
  });
  const bad: readonly (readonly [pem: string, message: RegExp])[] = [
    [ec.export({ format: "pem", type: "sec1" }).toString(), /"EC PRIVATE KEY", expected/],
    [ec.export({ format: "pem", type: "pkcs8" }).toString(), /not an Ed25519 key/],
    [x25519.export({ format: "pem", type: "pkcs8" }).toString(), /not an Ed25519 key/],
    [encrypted.toString(), /"ENCRYPTED PRIVATE KEY", expected .* not encrypted/],
    [version0.replaceAll("PRIVATE", "OPENSSH PRIVATE"), /OpenSSH.s format: it does not begin/],
    [version0.slice(0, -10), /no complete block/],
    [version0.replace("BEGIN PRIVATE", "BEGIN PUBLIC"), /no complete block/],
    [version0.replace("MC4", "M*4"), /not base64/],
    [version0.replace(/MC4.{21}/, ""), /not an Ed25519 key/],
    [version0.replace("EdVhC\n", "E\n"), /not an Ed25519 key/],
    ["", /no complete block/],
  ];
  for (const [pem, message] of bad) {
    assert.throws(
      () => decodePem(pem),
      (error) => isInvalidKey(error) && message.test(error.message),
      pem,
    );
  }
});

test("any text is a key in PEM or an IdentityError", () => {
  const altered = fc
    .tuple(fc.constantFrom(version0, version1), fc.nat(250), fc.nat(4), fc.string({ maxLength: 4 }))
    .map(([text, at, drop, put]) => text.slice(0, at) + put + text.slice(at + drop));
  const anyBlock = fc
    .base64String({ maxLength: 120 })
    .map((base64) => `-----BEGIN PRIVATE KEY-----\n${base64}\n-----END PRIVATE KEY-----`);
  fuzz(fc.oneof(fc.string(), altered, anyBlock), (text) => {
    try {
      assert.equal(decodePem(text).length, 32);
    } catch (error) {
      assert.ok(isInvalidKey(error));
    }
  });
});

test("every seed reads back from PEM", () => {
  fuzz(
    fc.uint8Array({ minLength: 32, maxLength: 32 }),
    (bytes) => {
      assert.deepEqual(decodePem(encodePem(bytes)), bytes);
    },
    5_000,
  );
});
