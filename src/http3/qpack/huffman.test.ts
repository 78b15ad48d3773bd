import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeHex, encodeHex } from "../../base/hex.ts";
import { decodeHuffman, encodeHuffman, huffmanLength } from "./huffman.ts";

function encode(text: string): Uint8Array {
  const bytes = new Uint8Array(huffmanLength(text));
  encodeHuffman(text, bytes, 0);
  return bytes;
}

function decode(bytes: Uint8Array): string | undefined {
  const chars = new Uint8Array(Math.floor((bytes.length * 8) / 5));
  const length = decodeHuffman(bytes, chars);
  return length === undefined
    ? undefined
    : Buffer.from(chars.subarray(0, length)).toString("latin1");
}

const latin1 = fc
  .uint8Array({ maxLength: 80 })
  .map((bytes) => Buffer.from(bytes).toString("latin1"));

const examples = [
  ["www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"],
  ["no-cache", "a8eb10649cbf"],
  ["custom-key", "25a849e95ba97d7f"],
  ["custom-value", "25a849e95bb8e8b4bf"],
  ["302", "6402"],
  ["307", "640eff"],
  ["private", "aec3771a4b"],
  ["gzip", "9bd9ab"],
  ["Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"],
  ["Mon, 21 Oct 2013 20:13:22 GMT", "d07abe941054d444a8200595040b8166e084a62d1bff"],
  ["https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"],
  [
    "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    "94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
  ],
] as const;

for (const [text, hex] of examples) {
  test(`Huffman code of ${JSON.stringify(text)} is that of the RFC (RFC 7541 §C.4, §C.6)`, () => {
    assert.equal(encodeHex(encode(text)), hex);
    assert.equal(decode(decodeHex(hex)), text);
  });
}

test("huffman codes every byte, alone and beside any other, and reads it back", () => {
  for (let a = 0; a < 256; a++) {
    for (let b = 0; b < 256; b++) {
      const text = String.fromCharCode(a, b);
      assert.equal(decode(encode(text)), text);
    }
  }
});

test("huffman reads back any bytes", () => {
  fc.assert(
    fc.property(latin1, (text) => {
      assert.equal(decode(encode(text)), text);
    }),
    { numRuns: 10_000 },
  );
});

test("huffman accepts only what an encoder would have written", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const text = decode(bytes);
      if (text !== undefined) {
        assert.deepEqual(encode(text), bytes);
      }
    }),
    { numRuns: 100_000 },
  );
});

test("huffman accepts up to 7 bits of padding, all ones (RFC 7541 §5.2)", () => {
  // Codes: "0" is 00000, "a" is 00011.
  assert.equal(decode(decodeHex("07")), "0");
  assert.equal(decode(decodeHex("00")), undefined, "padding of zeros");
  assert.equal(decode(decodeHex("06")), undefined, "a zero in the padding");
  assert.equal(decode(decodeHex("07ff")), undefined, "11 bits of padding");
  assert.equal(decode(decodeHex("ff")), undefined, "8 bits of padding");
  assert.equal(decode(decodeHex("")), "");
});

test("huffman refuses EOS wherever it stands (RFC 7541 §5.2)", () => {
  assert.equal(decode(decodeHex("ffffffff")), undefined);
  assert.equal(decode(decodeHex("fffffffc")), undefined, "EOS and two bits of a symbol");
  assert.equal(decode(decodeHex("07ffffffff")), undefined, "EOS after a symbol");
  assert.equal(decode(decodeHex("1fffffffe0ff")), undefined, "EOS between symbols");
});

test("huffman reads no symbol out of a code that is cut short", () => {
  fc.assert(
    fc.property(latin1, fc.nat(), (text, at) => {
      const bytes = encode(text);
      const cut = decode(bytes.subarray(0, bytes.length === 0 ? 0 : at % bytes.length));
      assert.ok(cut === undefined || text.startsWith(cut));
    }),
    { numRuns: 5_000 },
  );
});

test("huffmanLength throws RangeError for a char that is no byte", () => {
  assert.throws(() => huffmanLength("price: 5 €"), RangeError);
  assert.throws(() => huffmanLength("\u0100"), RangeError);
});
