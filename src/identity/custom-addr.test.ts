import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { addrVectors } from "../../test/vectors/vectors.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import { PostcardReader, PostcardWriter } from "../base/postcard.ts";
import {
  customAddr,
  customAddrFromBytes,
  customAddrToBytes,
  formatCustomAddr,
  parseCustomAddr,
} from "./custom-addr.ts";
import { IdentityError } from "./identity-error.ts";

function isInvalidAddress(error: unknown): error is IdentityError {
  return error instanceof IdentityError && error.code === "invalid-address";
}

test("custom addresses have iroh's text, binary and postcard forms", () => {
  assert.ok(addrVectors.custom.length > 0);
  for (const { id, data_hex, string, binary_hex, postcard_hex } of addrVectors.custom) {
    const addr = customAddr(BigInt(id), decodeHex(data_hex));
    assert.equal(formatCustomAddr(addr), string);
    assert.deepEqual(parseCustomAddr(string), addr);
    assert.equal(encodeHex(customAddrToBytes(addr)), binary_hex);
    assert.deepEqual(customAddrFromBytes(decodeHex(binary_hex)), addr);
    const postcard = new PostcardWriter().varint(addr.id).bytes(addr.data).finish();
    assert.equal(encodeHex(postcard), postcard_hex);
    const reader = new PostcardReader(decodeHex(postcard_hex));
    assert.deepEqual(customAddr(reader.u64(), reader.bytes()), addr);
  }
});

test("parseCustomAddr takes and refuses what iroh does", () => {
  for (const { input, id, data_hex, string, error } of addrVectors.custom_parse) {
    if (error === undefined) {
      const addr = parseCustomAddr(input);
      assert.equal(addr.id.toString(), id, input);
      assert.equal(encodeHex(addr.data), data_hex, input);
      assert.equal(formatCustomAddr(addr), string, input);
    } else {
      assert.throws(() => parseCustomAddr(input), isInvalidAddress, input);
    }
  }
});

test("parseCustomAddr says what is wrong", () => {
  assert.throws(() => parseCustomAddr("a"), /"a": expected <id>_<data>/);
  assert.throws(() => parseCustomAddr("xyz_01"), /the id before the _ is not/);
  assert.throws(() => parseCustomAddr("1_AB"), /data: "A" is not a digit/);
});

test("customAddr refuses an id beyond 64 bits and customAddrFromBytes less than an id", () => {
  assert.throws(() => customAddr(-1n, new Uint8Array(0)), RangeError);
  assert.throws(() => customAddr(1n << 64n, new Uint8Array(0)), RangeError);
  assert.throws(() => customAddrFromBytes(new Uint8Array(7)), isInvalidAddress);
});

test("F28: custom addresses take Buffers, copy, and give plain Uint8Arrays", () => {
  const buffer = Buffer.from("0100000000000000ab", "hex");
  const addr = customAddrFromBytes(buffer);
  buffer.fill(0);
  assert.equal(addr.data.constructor, Uint8Array);
  assert.deepEqual(addr.data, Uint8Array.of(0xab));
  assert.equal(customAddr(1n, buffer).data.constructor, Uint8Array);
});

test("all custom addresses read back in both forms", () => {
  fc.assert(
    fc.property(fc.bigInt(0n, (1n << 64n) - 1n), fc.uint8Array({ maxLength: 40 }), (id, data) => {
      const addr = customAddr(id, data);
      assert.deepEqual(parseCustomAddr(formatCustomAddr(addr)), addr);
      assert.deepEqual(customAddrFromBytes(customAddrToBytes(addr)), addr);
    }),
    { numRuns: 10_000 },
  );
});

test("any text is a custom address or an IdentityError", () => {
  const anyText = fc.oneof(
    fc.string({ maxLength: 20 }),
    fc.string({ unit: fc.constantFrom(..."0123456789abcdefA_+-x"), maxLength: 24 }),
  );
  fuzz(anyText, (text) => {
    try {
      const addr = parseCustomAddr(text);
      assert.deepEqual(parseCustomAddr(formatCustomAddr(addr)), addr);
    } catch (error) {
      assert.ok(isInvalidAddress(error));
    }
  });
});
