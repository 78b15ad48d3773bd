import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UnexpectedEndError } from "../../base/byte-reader.ts";
import { decodeHex, encodeHex } from "../../base/hex.ts";
import { PrimitiveReader } from "./primitive-reader.ts";
import { PrimitiveWriter } from "./primitive-writer.ts";
import { Qpack, QpackError } from "./qpack-error.ts";

function readerOf(bytes: Uint8Array): PrimitiveReader {
  return new PrimitiveReader(bytes, Qpack.ENCODER_STREAM_ERROR);
}

function isMalformed(error: unknown): boolean {
  return error instanceof QpackError && error.code === Qpack.ENCODER_STREAM_ERROR;
}

const latin1 = fc
  .uint8Array({ maxLength: 300 })
  .map((bytes) => Buffer.from(bytes).toString("latin1"));
const prefixBits = fc.integer({ min: 3, max: 8 });
const noLimit = Number.POSITIVE_INFINITY;

const integers = [
  [10, 5, "0a"],
  [1337, 5, "1f9a0a"],
  [42, 8, "2a"],
  [30, 5, "1e"],
  [31, 5, "1f00"],
  [158, 5, "1f7f"],
  [159, 5, "1f8001"],
  [2 ** 53 - 1, 8, "ff80feffffffffff0f"],
] as const;

for (const [value, bits, hex] of integers) {
  test(`PrimitiveWriter.prefixedInteger writes ${value} in ${bits} bits as ${hex} (RFC 7541 §C.1)`, () => {
    assert.equal(encodeHex(new PrimitiveWriter().prefixedInteger(0, bits, value).take()), hex);
    assert.equal(readerOf(decodeHex(hex)).prefixedInteger(bits), value);
  });
}

test("PrimitiveReader.prefixedInteger reads back any integer and leaves the flags alone", () => {
  fc.assert(
    fc.property(prefixBits, fc.maxSafeNat(), fc.nat(0xff), (bits, value, high) => {
      const flags = (high << bits) & 0xff;
      const bytes = new PrimitiveWriter().prefixedInteger(flags, bits, value).take();
      const reader = readerOf(bytes);
      assert.equal(reader.peekU8() & ~((1 << bits) - 1), flags);
      assert.equal(reader.prefixedInteger(bits), value);
      assert.equal(reader.remaining, 0);
      for (let cut = 0; cut < bytes.length; cut++) {
        assert.throws(
          () => readerOf(bytes.subarray(0, cut)).prefixedInteger(bits),
          UnexpectedEndError,
        );
      }
    }),
    { numRuns: 5_000 },
  );
});

test("PrimitiveReader.prefixedInteger gives Infinity from 2^53 to 2^62-1 (RFC 9204 §4.1.1)", () => {
  const above = { "2^53": "ff81feffffffffff0f", "2^62-1": "ff80feffffffffffff3f" };
  for (const [name, hex] of Object.entries(above)) {
    assert.equal(readerOf(decodeHex(hex)).prefixedInteger(8), noLimit, name);
  }
});

test("PrimitiveReader.prefixedInteger refuses more than 2^62, and more bytes than these take", () => {
  for (const hex of [
    "ff81fefffffffffffe7f",
    "ffffffffffffffffff7f",
    "ffffffffffffffffffff",
    "ff80808080808080808080",
    "ff80808080808080808000",
  ]) {
    assert.throws(() => readerOf(decodeHex(hex)).prefixedInteger(8), isMalformed, hex);
  }
});

test("PrimitiveReader.prefixedInteger reads a value that is padded with zeros within those bytes", () => {
  assert.equal(readerOf(decodeHex("ff818000")).prefixedInteger(8), 256);
});

test("PrimitiveReader.stringLiteral reads back any string, whole and cut at every byte", () => {
  fc.assert(
    fc.property(prefixBits, latin1, (bits, text) => {
      const length = Math.min(bits, 7);
      const bytes = new PrimitiveWriter().stringLiteral(0, length, text).take();
      const reader = readerOf(bytes);
      assert.equal(reader.stringLiteral(length, text.length), text);
      assert.equal(reader.remaining, 0);
      for (let cut = 0; cut < bytes.length; cut++) {
        assert.throws(
          () => readerOf(bytes.subarray(0, cut)).stringLiteral(length, noLimit),
          UnexpectedEndError,
        );
      }
    }),
    { numRuns: 2_000 },
  );
});

test("PrimitiveReader.stringLiteral reads what is not Huffman-encoded", () => {
  assert.equal(readerOf(decodeHex("0a637573746f6d2d6b6579")).stringLiteral(7, 10), "custom-key");
  assert.equal(readerOf(decodeHex("0180")).stringLiteral(7, 10), "\u0080");
});

test("PrimitiveWriter.stringLiteral takes the shorter form, and the plain one when both are equal", () => {
  const write = (text: string) => encodeHex(new PrimitiveWriter().stringLiteral(0, 7, text).take());
  assert.equal(write("a"), "0161");
  assert.equal(write("aaaa"), "8318c63f", "20 bits");
  assert.equal(write("\u00ff\u00ff"), "02ffff");
  assert.equal(write(""), "00");
});

test("PrimitiveReader.stringLiteral refuses a string above its limit as soon as the length is there", () => {
  assert.throws(() => readerOf(decodeHex("0b")).stringLiteral(7, 10), isMalformed);
  assert.throws(() => readerOf(decodeHex("0a")).stringLiteral(7, 10), UnexpectedEndError);
  // No Huffman code is longer than 30 bits: 41 bytes hold ten chars, 42 hold eleven.
  assert.throws(() => readerOf(decodeHex("a9")).stringLiteral(7, 10), UnexpectedEndError);
  assert.throws(() => readerOf(decodeHex("aa")).stringLiteral(7, 10), isMalformed);
  assert.throws(() => readerOf(decodeHex("00")).stringLiteral(7, -1), isMalformed);
});

test("PrimitiveReader.stringLiteral refuses a Huffman string that turns out longer than its limit", () => {
  const bytes = new PrimitiveWriter().stringLiteral(0, 7, "a".repeat(16)).take();
  assert.equal(readerOf(bytes).stringLiteral(7, 16), "a".repeat(16));
  assert.throws(() => readerOf(bytes).stringLiteral(7, 15), isMalformed);
});

test("PrimitiveReader.stringLiteral reads a string longer than the memory it keeps for them", () => {
  const text = "0123456789".repeat(10_000);
  const bytes = new PrimitiveWriter().stringLiteral(0, 7, text).take();
  assert.ok(bytes.length < text.length);
  assert.equal(readerOf(bytes).stringLiteral(7, text.length), text);
});

test("PrimitiveReader never fails but by its two errors", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 24 }), prefixBits, fc.nat(40), (bytes, bits, limit) => {
      const reader = readerOf(bytes);
      try {
        assert.ok(reader.stringLiteral(Math.min(bits, 7), limit).length <= limit);
        reader.prefixedInteger(bits);
      } catch (error) {
        assert.ok(error instanceof UnexpectedEndError || isMalformed(error), String(error));
      }
    }),
    { numRuns: 100_000 },
  );
});

test("PrimitiveWriter gives out copies and starts again", () => {
  const writer = new PrimitiveWriter();
  const first = writer.prefixedInteger(0x80, 7, 5).take();
  assert.equal(writer.length, 0);
  const second = writer.prefixedInteger(0x80, 7, 6).take();
  assert.equal(encodeHex(first), "85");
  assert.equal(encodeHex(second), "86");
});

test("PrimitiveWriter.append adds what another writer holds", () => {
  const lines = new PrimitiveWriter().stringLiteral(0, 7, "\u00ff".repeat(1_000));
  const bytes = new PrimitiveWriter().prefixedInteger(0, 8, 7).append(lines).take();
  assert.equal(bytes.length, 1 + 3 + 1_000);
  assert.equal(bytes[0], 7);
  assert.equal(readerOf(bytes.subarray(1)).stringLiteral(7, noLimit), "\u00ff".repeat(1_000));
});
