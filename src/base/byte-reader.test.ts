import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { ByteReader, UnexpectedEndError } from "./byte-reader.ts";
import { decodeHex } from "./hex.ts";

test("ByteReader reads big-endian integers one after the other", () => {
  const reader = new ByteReader(decodeHex("01fffeff00aabbfedcba9876543210"));
  assert.equal(reader.peek(), 1);
  assert.equal(reader.u8(), 1);
  assert.equal(reader.u16(), 0xfffe);
  assert.equal(reader.u32(), 0xff00_aabb);
  assert.equal(reader.u64(), 0xfedc_ba98_7654_3210n);
  assert.equal(reader.offset, 15);
  assert.equal(reader.remaining, 0);
  assert.equal(reader.peek(), undefined);
});

test("ByteReader begins where it is told and gives views of what is left", () => {
  const bytes = Uint8Array.of(1, 2, 3, 4, 5);
  const reader = new ByteReader(bytes, 1);
  const view = reader.bytes(2);
  assert.deepEqual(view, Uint8Array.of(2, 3));
  assert.equal(view.buffer, bytes.buffer);
  assert.deepEqual(reader.rest(), Uint8Array.of(4, 5));
  assert.deepEqual(reader.rest(), new Uint8Array(0));
  assert.deepEqual(reader.bytes(0), new Uint8Array(0));
});

test("F28: ByteReader takes a Buffer and gives views that are plain Uint8Arrays", () => {
  const buffer = Buffer.from("0102030405", "hex").subarray(1);
  const reader = new ByteReader(buffer);
  const view = reader.bytes(2);
  assert.equal(view.constructor, Uint8Array);
  assert.deepEqual(view, Uint8Array.of(2, 3));
  assert.equal(view.buffer, buffer.buffer);
  assert.equal(reader.rest().constructor, Uint8Array);
});

const reads = {
  u8: { length: 1, read: (reader: ByteReader) => reader.u8() },
  u16: { length: 2, read: (reader: ByteReader) => reader.u16() },
  u32: { length: 4, read: (reader: ByteReader) => reader.u32() },
  u64: { length: 8, read: (reader: ByteReader) => reader.u64() },
  bytes: { length: 7, read: (reader: ByteReader) => reader.bytes(7) },
  varint: { length: 8, read: (reader: ByteReader) => reader.varint() },
  varintNumber: { length: 8, read: (reader: ByteReader) => reader.varintNumber() },
};

for (const [name, { length, read }] of Object.entries(reads)) {
  test(`ByteReader.${name} that meets the end consumes nothing and says where`, () => {
    for (let cut = 0; cut < length; cut++) {
      const reader = new ByteReader(new Uint8Array(3 + cut).fill(0xff), 3);
      assert.throws(
        () => read(reader),
        (error) => error instanceof UnexpectedEndError && error.offset === 3,
      );
      assert.equal(reader.offset, 3);
    }
    const reader = new ByteReader(new Uint8Array(length).fill(0xff));
    read(reader);
    assert.equal(reader.remaining, 0);
  });
}

test("ByteReader refuses a length that is Infinity, as varintNumber gives it", () => {
  assert.throws(() => new ByteReader(new Uint8Array(9)).bytes(Infinity), UnexpectedEndError);
});

test("ByteReader gives values or UnexpectedEndError for any bytes and any reads", () => {
  const names = Object.keys(reads) as (keyof typeof reads)[];
  const inputs = fc.tuple(
    fc.uint8Array({ maxLength: 32 }),
    fc.array(fc.constantFrom(...names), { maxLength: 6 }),
  );
  fuzz(inputs, ([bytes, calls]) => {
    const reader = new ByteReader(bytes);
    for (const call of calls) {
      const { offset } = reader;
      try {
        reads[call].read(reader);
        assert.ok(reader.offset > offset);
      } catch (error) {
        assert.ok(error instanceof UnexpectedEndError);
        assert.equal(reader.offset, offset);
      }
      assert.equal(reader.offset + reader.remaining, bytes.length);
    }
  });
});
