import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { decodeBase32, decodeZ32, encodeBase32, encodeZ32 } from "./base32.ts";
import { EncodingError } from "./encoding-error.ts";

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

test("base32 is as the test vectors of RFC 4648 §10, in lower case and without padding", () => {
  const vectors: readonly (readonly [bytes: string, text: string])[] = [
    ["", ""],
    ["f", "my"],
    ["fo", "mzxq"],
    ["foo", "mzxw6"],
    ["foob", "mzxw6yq"],
    ["fooba", "mzxw6ytb"],
    ["foobar", "mzxw6ytboi"],
  ];
  for (const [bytes, text] of vectors) {
    assert.equal(encodeBase32(ascii(bytes)), text);
    assert.deepEqual(decodeBase32(text), ascii(bytes));
    assert.deepEqual(decodeBase32(text.toUpperCase()), ascii(bytes));
    assert.deepEqual(decodeBase32(`skipped${text}`, 7), ascii(bytes));
  }
});

test("z-base-32 is as in Zooko's examples for whole bytes", () => {
  const vectors: readonly (readonly [bytes: readonly number[], text: string])[] = [
    [[], ""],
    [[0xf0, 0xbf, 0xc7], "6n9hq"],
    [[0xd4, 0x7a, 0x04], "4t7ye"],
  ];
  for (const [bytes, text] of vectors) {
    assert.equal(encodeZ32(Uint8Array.from(bytes)), text);
    assert.deepEqual(decodeZ32(text), Uint8Array.from(bytes));
  }
});

test("base32 decoders say which character is wrong", () => {
  const bad: readonly (readonly [
    decode: (text: string) => unknown,
    text: string,
    index: number,
  ])[] = [
    [decodeBase32, "my======", 2],
    [decodeBase32, "mzx1", 3],
    [decodeBase32, "0y", 0],
    [decodeBase32, "m8", 1],
    [decodeBase32, "mz xq", 2],
    [decodeBase32, "my\n", 2],
    [decodeBase32, "mé", 1],
    // The Kelvin sign, whose lower case is a k.
    [decodeBase32, "mK", 1],
    // The last digit has one bit too many set.
    [decodeBase32, "mz", 1],
    [decodeZ32, "6N9HQ", 1],
    [decodeZ32, "6n9hl", 4],
    [decodeZ32, "6n9hb", 4],
    [(text) => decodeBase32(text, 8), "endpoint1", 8],
  ];
  for (const [decode, text, index] of bad) {
    assert.throws(
      () => decode(text),
      (error) =>
        error instanceof EncodingError &&
        error.index === index &&
        error.message.includes(`character ${index + 1}`),
      text,
    );
  }
});

test("base32 decoders refuse lengths that no bytes have", () => {
  for (const length of [1, 3, 6, 9, 11, 14]) {
    for (const decode of [
      () => decodeBase32("a".repeat(length)),
      () => decodeBase32(`endpoint${"a".repeat(length)}`, 8),
      () => decodeZ32("y".repeat(length)),
    ]) {
      assert.throws(
        decode,
        (error) =>
          error instanceof EncodingError &&
          error.index === undefined &&
          error.message.startsWith(`${length} digits`),
      );
    }
  }
});

test("F28: base32 takes Buffers and gives plain Uint8Arrays", () => {
  assert.equal(encodeBase32(Buffer.from("foobar")), "mzxw6ytboi");
  assert.equal(decodeBase32("mzxw6ytboi").constructor, Uint8Array);
});

const codecs = [
  { name: "base32", encode: encodeBase32, decode: (text: string) => decodeBase32(text) },
  { name: "z-base-32", encode: encodeZ32, decode: decodeZ32 },
];

for (const { name, encode, decode } of codecs) {
  test(`all bytes read back from ${name}, and no other text gives the same`, () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        assert.deepEqual(decode(encode(bytes)), bytes);
      }),
      { numRuns: 20_000 },
    );
  });

  test(`any text is ${name} or an EncodingError, and has one form in lower case`, () => {
    const anyText = fc.oneof(
      fc.string({ maxLength: 20 }),
      fc.string({ unit: fc.constantFrom(..."abyzkm23457AZ1"), maxLength: 12 }),
    );
    fuzz(anyText, (text) => {
      try {
        assert.equal(encode(decode(text)), text.toLowerCase());
      } catch (error) {
        assert.ok(error instanceof EncodingError);
      }
    });
  });
}
