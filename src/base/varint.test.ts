import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { ByteReader, UnexpectedEndError } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { decodeHex, encodeHex } from "./hex.ts";
import { maxVarint, varintLength, varintLengthOf } from "./varint.ts";

/** The examples of RFC 9000 §A.1. */
const examples: readonly (readonly [hex: string, value: bigint])[] = [
  ["c2197c5eff14e88c", 151_288_809_941_952_652n],
  ["9d7f3e7d", 494_878_333n],
  ["7bbd", 15_293n],
  ["25", 37n],
  ["4025", 37n],
];

const edges: readonly (readonly [value: number, length: number])[] = [
  [0, 1],
  [0x3f, 1],
  [0x40, 2],
  [0x3fff, 2],
  [0x4000, 4],
  [0x3fff_ffff, 4],
  [0x4000_0000, 8],
  [0x8000_0000, 8],
  [0xffff_ffff, 8],
  [0x1_0000_0000, 8],
  [Number.MAX_SAFE_INTEGER, 8],
];

const anyVarint: fc.Arbitrary<bigint> = fc.oneof(
  fc.bigInt(0n, maxVarint),
  fc.bigInt(0n, 0x8000_0000n),
  fc.bigInt(0n, 0x8000n),
  fc.bigInt(BigInt(Number.MAX_SAFE_INTEGER) - 9n, BigInt(Number.MAX_SAFE_INTEGER) + 9n),
);

test("varints read as the examples say (RFC 9000 §A.1)", () => {
  for (const [hex, value] of examples) {
    const reader = new ByteReader(decodeHex(hex));
    assert.equal(reader.varint(), value);
    assert.equal(reader.remaining, 0);
  }
});

test("varints are written in their shortest form at every border (RFC 9000 §16)", () => {
  for (const [value, length] of edges) {
    assert.equal(varintLength(value), length);
    const bytes = new ByteWriter().varint(value).finish();
    assert.equal(bytes.length, length);
    assert.equal(varintLengthOf(bytes[0] ?? 0), length);
    assert.equal(new ByteReader(bytes).varintNumber(), value);
    assert.equal(encodeHex(bytes), encodeHex(new ByteWriter().varint(BigInt(value)).finish()));
  }
  assert.equal(encodeHex(new ByteWriter().varint(maxVarint).finish()), "f".repeat(16));
});

test("every varint reads back, as bigint and as number", () => {
  fuzz(anyVarint, (value) => {
    const bytes = new ByteWriter(1).varint(value).finish();
    assert.equal(new ByteReader(bytes).varint(), value);
    const number = value > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(value);
    assert.equal(new ByteReader(bytes).varintNumber(), number);
  });
});

test("random bytes read as a varint or end too soon, and both readers agree", () => {
  fuzz(fc.uint8Array({ maxLength: 9 }), (bytes) => {
    const one = new ByteReader(bytes);
    const other = new ByteReader(bytes);
    const needed = varintLengthOf(bytes[0] ?? 0);
    if (bytes.length < needed) {
      assert.throws(() => one.varint(), UnexpectedEndError);
      assert.throws(() => other.varintNumber(), UnexpectedEndError);
      assert.equal(one.offset + other.offset, 0);
      return;
    }
    const value = one.varint();
    const number = other.varintNumber();
    assert.equal(number, value > BigInt(Number.MAX_SAFE_INTEGER) ? Infinity : Number(value));
    assert.equal(one.offset, needed);
    assert.equal(other.offset, needed);
  });
});

test("a value that no varint holds is a RangeError", () => {
  for (const value of [-1, 0.5, Number.NaN, Infinity, 2 ** 53, -1n, maxVarint + 1n, -(2n ** 70n)]) {
    assert.throws(() => new ByteWriter().varint(value), RangeError, String(value));
  }
});
