import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { relayHandshakeVectors } from "../../test/vectors/relay-vectors.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { createAuthHeader, decodeAuthHeader, isRightAuthHeader } from "./relay-auth-header.ts";
import { RelayError } from "./relay-error.ts";

test("the header is written as iroh writes it, and asks for the right keys", () => {
  for (const vector of relayHandshakeVectors.header) {
    const secretKey = SecretKey.fromBytes(decodeHex(vector.secret_hex));
    const value = createAuthHeader(secretKey, (label, context, length) => {
      assert.equal(label, vector.exporter_label);
      assert.equal(encodeHex(context), vector.exporter_context_hex);
      assert.equal(length, 32);
      return decodeHex(vector.exported_hex);
    });
    assert.equal(value, vector.header_value);
  }
});

test("what comes comes to what iroh's relay makes of it", () => {
  for (const {
    header_value,
    name,
    result,
    server_export_hex,
  } of relayHandshakeVectors.header_cases) {
    const exportKeys = () =>
      server_export_hex === null ? undefined : decodeHex(server_export_hex);
    if (result.startsWith("connection dropped")) {
      assert.throws(() => decodeAuthHeader(header_value), RelayError, name);
    } else {
      const isRight = isRightAuthHeader(decodeAuthHeader(header_value), exportKeys);
      assert.equal(isRight, result.startsWith("authenticated"), name);
    }
  }
});

test("a header is right for its own connection alone", () => {
  const secretKey = SecretKey.fromBytes(new Uint8Array(32).fill(1));
  const material = Uint8Array.from({ length: 32 }, (_, index) => index);
  const header = decodeAuthHeader(createAuthHeader(secretKey, () => material) ?? "");
  assert.ok(isRightAuthHeader(header, () => material));
  for (let index = 0; index < 32; index += 1) {
    const other = material.slice();
    other[index] = (other[index] ?? 0) ^ 1;
    assert.ok(!isRightAuthHeader(header, () => other), `byte ${index}`);
  }
  assert.equal(
    createAuthHeader(secretKey, () => undefined),
    undefined,
  );
});

test("F30: any text reads as a header or is an invalid one", () => {
  const base64url = fc
    .uint8Array({ maxLength: 130 })
    .map((bytes) => Buffer.from(bytes).toString("base64url"));
  fuzz(
    fc.oneof(fc.string(), base64url, fc.string({ minLength: 1_000, maxLength: 2_000 })),
    (text) => {
      try {
        decodeAuthHeader(text);
      } catch (error) {
        assert.ok(error instanceof RelayError && error.code === "invalid-frame");
      }
    },
    20_000,
  );
});
