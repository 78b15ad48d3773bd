import assert from "node:assert/strict";
import { createPrivateKey, verify as nodeVerify } from "node:crypto";
import { test } from "node:test";
import { format, inspect } from "node:util";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { idVectors } from "../../test/vectors/vectors.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import { IdentityError } from "./identity-error.ts";
import { SecretKey } from "./secret-key.ts";

function isInvalidKey(error: unknown): error is IdentityError {
  return error instanceof IdentityError && error.code === "invalid-key";
}

test("secret keys have iroh's texts and public keys", () => {
  assert.ok(idVectors.keys.length > 0);
  for (const { secret_hex, secret_base32, public_hex } of idVectors.keys) {
    const key = SecretKey.fromBytes(decodeHex(secret_hex));
    assert.equal(key.publicKey.toString(), public_hex);
    assert.equal(key.toHex(), secret_hex);
    assert.equal(encodeHex(key.bytes), secret_hex);
    assert.equal(SecretKey.parse(secret_hex).toHex(), secret_hex);
    assert.equal(SecretKey.parse(secret_base32).toHex(), secret_hex);
  }
});

test("SecretKey.parse takes and refuses what iroh does", () => {
  for (const { name, input, secret_hex, public_hex, error } of idVectors.parse_secret) {
    if (error === undefined) {
      const key = SecretKey.parse(input);
      assert.equal(key.toHex(), secret_hex, name);
      assert.equal(key.publicKey.toString(), public_hex, name);
    } else {
      assert.throws(() => SecretKey.parse(input), isInvalidKey, name);
    }
  }
});

test("generated keys differ and sign what Node.js verifies (RFC 8032)", () => {
  const [one, other] = [SecretKey.generate(), SecretKey.generate()];
  assert.notEqual(one.toHex(), other.toHex());
  const signature = one.sign(new Uint8Array(0));
  assert.equal(signature.length, 64);
  assert.deepEqual(one.sign(new Uint8Array(0)), signature);
  assert.ok(nodeVerify(null, new Uint8Array(0), createPrivateKey(one.toPem()), signature));
});

test("signatures are those of RFC 8032 §7.1", () => {
  const key = SecretKey.parse("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
  assert.equal(
    encodeHex(key.sign(Uint8Array.of(0x72))),
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da" +
      "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  );
});

test("a secret key does not show, however it is printed", () => {
  const key = SecretKey.generate();
  const shown = [
    `${key}`,
    String(key),
    JSON.stringify({ key }),
    inspect(key, { showHidden: true, depth: 9 }),
    format("%s %o %O %j", key, key, key, key),
    JSON.stringify(Object.entries(key)),
    JSON.stringify(structuredClone({ ...key })),
  ].join("\n");
  assert.ok(!shown.includes(key.toHex()));
  assert.ok(!shown.includes(Buffer.from(key.bytes).toString("base64").slice(0, 40)));
  assert.ok(!shown.includes([...key.bytes.subarray(0, 4)].join(", ")));
  assert.equal(`${key}`, "SecretKey(..)");
});

test("an error about a secret key holds nothing of it", () => {
  const { secret_hex = "", secret_base32 = "" } = idVectors.keys[0] ?? {};
  const mistakes = [
    secret_hex.toUpperCase(),
    `${secret_hex}\n`,
    secret_hex.slice(1),
    secret_hex.replace("0", "Q"),
    `${secret_base32}=`,
    secret_base32.replace("a", "!"),
  ];
  for (const text of mistakes) {
    assert.throws(
      () => SecretKey.parse(text),
      (error) => {
        assert.ok(isInvalidKey(error));
        assert.ok(!error.message.includes('"'));
        for (let at = 0; at + 4 <= text.length; at++) {
          assert.ok(!error.message.includes(text.slice(at, at + 4)));
        }
        assert.equal(error.cause, undefined);
        return true;
      },
    );
  }
});

test("SecretKey.fromBytes refuses every other length than 32", () => {
  for (const length of [0, 31, 33, 64]) {
    assert.throws(() => SecretKey.fromBytes(new Uint8Array(length)), isInvalidKey);
  }
});

test("F28: secret keys take Uint8Array and Buffer, copy, and give plain Uint8Arrays", () => {
  const buffer = Buffer.alloc(32, 7);
  const key = SecretKey.fromBytes(buffer);
  const { publicKey } = SecretKey.fromBytes(new Uint8Array(32).fill(7));
  buffer.fill(0);
  assert.ok(key.publicKey.equals(publicKey));
  assert.deepEqual(key.bytes, new Uint8Array(32).fill(7));
  key.bytes.fill(0);
  assert.deepEqual(key.bytes, new Uint8Array(32).fill(7));
  const message = Buffer.from("hello");
  assert.deepEqual(key.sign(message), key.sign(new TextEncoder().encode("hello")));
  for (const bytes of [key.bytes, key.publicKey.bytes, key.sign(message)]) {
    assert.equal(bytes.constructor, Uint8Array);
  }
});

test("any text is a secret key or an IdentityError", () => {
  const { secret_hex = "", secret_base32 = "" } = idVectors.keys[0] ?? {};
  const altered = fc
    .tuple(
      fc.constantFrom(secret_hex, secret_base32),
      fc.nat(64),
      fc.integer({ min: 1, max: 3 }),
      fc.string({ maxLength: 4 }),
    )
    .map(([text, at, drop, put]) => text.slice(0, at) + put + text.slice(at + drop));
  // Few of those that become keys, which is slow.
  const anyText = fc.oneof(
    { weight: 20, arbitrary: fc.string({ maxLength: 70 }) },
    { weight: 1, arbitrary: altered },
  );
  fuzz(anyText, (text) => {
    try {
      SecretKey.parse(text);
    } catch (error) {
      assert.ok(isInvalidKey(error));
    }
  });
});
