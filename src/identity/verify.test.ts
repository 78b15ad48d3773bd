import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bentSignature, smallOrderEncodings } from "../../test/vectors/bent-signature.ts";
import { idVectors } from "../../test/vectors/vectors.ts";
import { decodeHex } from "../base/hex.ts";
import { EndpointId } from "./endpoint-id.ts";
import { SecretKey } from "./secret-key.ts";
import { verify } from "./verify.ts";

test("verify agrees with iroh", () => {
  assert.ok(idVectors.verify.length > 0);
  for (const { name, public_hex, message_hex, signature_hex, ok } of idVectors.verify) {
    const id = EndpointId.fromBytes(decodeHex(public_hex));
    assert.equal(verify(id, decodeHex(message_hex), decodeHex(signature_hex)), ok, name);
  }
});

test("no signature is right for a key of small order", () => {
  // The equation holds for some of these, and Node.js 20 and 22 by themselves take them.
  const signature = new Uint8Array(64);
  for (const key of smallOrderEncodings) {
    const id = EndpointId.parse(key);
    for (const r of smallOrderEncodings) {
      signature.set(decodeHex(r));
      for (let message = 0; message < 8; message++) {
        assert.equal(verify(id, Uint8Array.of(message), signature), false);
      }
    }
  }
});

test("a key or R with a part of small order passes only if the equation holds without the cofactor", () => {
  const outcomes = new Set<boolean>();
  for (let keyTorsion = 0; keyTorsion < 8; keyTorsion++) {
    for (let rTorsion = 0; rTorsion < 8; rTorsion++) {
      const { id, message, signature, holds } = bentSignature({
        keyTorsion,
        rTorsion,
        rScalar: 77n,
      });
      assert.equal(verify(id, message, signature), holds);
      outcomes.add(holds);
    }
  }
  assert.equal(outcomes.size, 2);
});

test("a signature whose R is of small order is wrong, also where the equation holds", () => {
  for (let rTorsion = 0; rTorsion < 8; rTorsion++) {
    const { id, message, signature, holds } = bentSignature({
      keyTorsion: 0,
      rTorsion,
      rScalar: 0n,
    });
    assert.equal(holds, rTorsion === 0);
    assert.equal(verify(id, message, signature), false);
  }
});

test("what a key has signed is right for its id alone, and every altered bit makes it wrong", () => {
  const key = SecretKey.generate();
  const message = new TextEncoder().encode("hello");
  const signature = key.sign(message);
  assert.ok(verify(key.publicKey, message, signature));
  assert.ok(!verify(SecretKey.generate().publicKey, message, signature));
  assert.ok(!verify(key.publicKey, message.subarray(1), signature));
  for (let bit = 0; bit < 512; bit++) {
    const altered = Uint8Array.from(signature);
    altered[bit >> 3] = (altered[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.ok(!verify(key.publicKey, message, altered), `bit ${bit}`);
  }
  for (let length = 0; length < 64; length++) {
    assert.ok(!verify(key.publicKey, message, signature.subarray(0, length)));
  }
  assert.ok(!verify(key.publicKey, message, new Uint8Array([...signature, 0])));
});

test("F28: verify takes Buffers", () => {
  const key = SecretKey.generate();
  const message = Buffer.from("hello");
  assert.ok(verify(key.publicKey, message, Buffer.from(key.sign(message))));
});

test("random signatures and keys are wrong and throw nothing", () => {
  const ids = [
    ...smallOrderEncodings.map(EndpointId.parse),
    ...idVectors.keys.map(({ public_hex }) => EndpointId.parse(public_hex)),
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...ids),
      fc.uint8Array({ maxLength: 8 }),
      fc.uint8Array({ minLength: 60, maxLength: 66 }),
      (id, message, signature) => {
        assert.equal(verify(id, message, signature), false);
      },
    ),
    { numRuns: 2_000 },
  );
});
