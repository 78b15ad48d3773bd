import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { UnexpectedEndError } from "./byte-reader.ts";
import { decodeHex, encodeHex } from "./hex.ts";
import { PostcardError, PostcardReader, PostcardWriter } from "./postcard.ts";

const numbers: readonly (readonly [value: bigint, hex: string])[] = [
  [0n, "00"],
  [1n, "01"],
  [127n, "7f"],
  [128n, "8001"],
  [16_383n, "ff7f"],
  [16_384n, "808001"],
  [65_535n, "ffff03"],
  [0xffff_ffffn, "ffffffff0f"],
  [(1n << 64n) - 1n, "ffffffffffffffffff01"],
];

test("postcard numbers are written and read, low bits first", () => {
  for (const [value, hex] of numbers) {
    assert.equal(encodeHex(new PostcardWriter().varint(value).finish()), hex);
    assert.equal(new PostcardReader(decodeHex(hex)).u64(), value);
    if (value <= 0xffff_ffffn) {
      assert.equal(new PostcardReader(decodeHex(hex)).u32(), Number(value));
      assert.equal(new PostcardReader(decodeHex(hex)).count(), Number(value));
    }
    if (value <= 0xffffn) {
      assert.equal(new PostcardReader(decodeHex(hex)).u16(), Number(value));
    }
  }
});

test("postcard numbers may be longer than needed, up to the longest of their type", () => {
  assert.equal(new PostcardReader(decodeHex("808000")).u16(), 0);
  assert.equal(new PostcardReader(decodeHex("8180808000")).u32(), 1);
  assert.equal(new PostcardReader(decodeHex("81808080808080808000")).u64(), 1n);
});

test("postcard numbers that are too long or too large are errors that say where", () => {
  const bad: readonly (readonly [hex: string, read: (reader: PostcardReader) => unknown])[] = [
    ["80808000", (reader) => reader.u16()],
    ["ffff04", (reader) => reader.u16()],
    ["808080808000", (reader) => reader.u32()],
    ["ffffffff10", (reader) => reader.u32()],
    ["8080808080808080808000", (reader) => reader.u64()],
    ["ffffffffffffffffff02", (reader) => reader.u64()],
    ["ffffffffffffffffff02", (reader) => reader.bytes()],
  ];
  for (const [hex, read] of bad) {
    const reader = new PostcardReader(decodeHex(`00${hex}`));
    reader.u16();
    assert.throws(
      () => read(reader),
      (error) => error instanceof PostcardError && error.offset === 1,
      hex,
    );
  }
});

test("postcard byte strings and texts have their length before them", () => {
  const bytes = new PostcardWriter()
    .bytes(Uint8Array.of(1, 2))
    .string("é")
    .fixedBytes(Uint8Array.of(9))
    .string("")
    .finish();
  assert.equal(encodeHex(bytes), "02010202c3a90900");
  const reader = new PostcardReader(bytes);
  assert.deepEqual(reader.bytes(), Uint8Array.of(1, 2));
  assert.equal(reader.string(), "é");
  assert.deepEqual(reader.fixedBytes(1), Uint8Array.of(9));
  assert.equal(reader.string(), "");
  assert.equal(reader.remaining, 0);
});

test("postcard text that is not UTF-8 is an error that says where", () => {
  assert.throws(
    () => new PostcardReader(decodeHex("02c328")).string(),
    (error) => error instanceof PostcardError && error.offset === 0,
  );
});

test("a length beyond the end costs nothing", () => {
  for (const hex of ["05aaaa", "ffffffff0f", "ffffffffffffffffff01"]) {
    assert.throws(() => new PostcardReader(decodeHex(hex)).bytes(), UnexpectedEndError, hex);
  }
});

test("PostcardWriter refuses numbers beyond 64 bits", () => {
  for (const value of [-1, -1n, 1n << 64n, 0.5, Number.NaN]) {
    assert.throws(() => new PostcardWriter().varint(value), RangeError, String(value));
  }
});

test("F28: postcard takes Buffers and gives plain Uint8Arrays", () => {
  const written = new PostcardWriter().bytes(Buffer.from("hello")).finish();
  assert.equal(written.constructor, Uint8Array);
  assert.equal(new PostcardReader(Buffer.from(written)).bytes().constructor, Uint8Array);
});

test("what PostcardWriter writes, PostcardReader reads back, and cut short it is an error", () => {
  fc.assert(
    fc.property(
      fc.bigInt(0n, (1n << 64n) - 1n),
      fc.uint8Array({ maxLength: 200 }),
      fc.string({ unit: "binary", maxLength: 20 }),
      fc.nat(),
      (number, bytes, text, at) => {
        const written = new PostcardWriter().varint(number).bytes(bytes).string(text).finish();
        const read = (from: Uint8Array): unknown => {
          const reader = new PostcardReader(from);
          return [reader.u64(), reader.bytes(), reader.string(), reader.remaining];
        };
        assert.deepEqual(read(written), [number, bytes, text, 0]);
        assert.throws(() => read(written.subarray(0, at % written.length)), UnexpectedEndError);
      },
    ),
    { numRuns: 20_000 },
  );
});

test("PostcardReader gives values or its two errors for any bytes and any reads", () => {
  const reads = {
    u16: (reader: PostcardReader) => reader.u16(),
    u32: (reader: PostcardReader) => reader.u32(),
    u64: (reader: PostcardReader) => reader.u64(),
    bytes: (reader: PostcardReader) => reader.bytes(),
    string: (reader: PostcardReader) => reader.string(),
    fixedBytes: (reader: PostcardReader) => reader.fixedBytes(3),
  };
  const names = Object.keys(reads) as (keyof typeof reads)[];
  const inputs = fc.tuple(
    fc.uint8Array({ maxLength: 24 }),
    fc.array(fc.constantFrom(...names), { maxLength: 6 }),
  );
  fuzz(inputs, ([bytes, calls]) => {
    const reader = new PostcardReader(bytes);
    try {
      for (const call of calls) {
        reads[call](reader);
      }
    } catch (error) {
      assert.ok(error instanceof PostcardError || error instanceof UnexpectedEndError);
    }
    assert.equal(reader.offset + reader.remaining, bytes.length);
  });
});
