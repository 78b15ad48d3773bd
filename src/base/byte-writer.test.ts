import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { encodeHex } from "./hex.ts";

test("ByteWriter writes big-endian integers one after the other and grows", () => {
  for (const capacity of [0, 1, 64]) {
    const writer = new ByteWriter(capacity)
      .u8(1)
      .u16(0xfffe)
      .u32(0xff00_aabb)
      .u64(0xfedc_ba98_7654_3210n)
      .bytes(Uint8Array.of(7, 8));
    assert.equal(writer.length, 17);
    assert.equal(encodeHex(writer.finish()), "01fffeff00aabbfedcba98765432100708");
  }
});

test("ByteWriter.clear forgets what was written and keeps the memory", () => {
  const writer = new ByteWriter(4).u32(1);
  const before = writer.finish();
  writer.clear();
  assert.equal(writer.length, 0);
  writer.u32(2);
  assert.equal(writer.finish().buffer, before.buffer);
  assert.equal(encodeHex(before), "00000002");
});

test("a view from ByteWriter.finish keeps its content while the writer grows", () => {
  const writer = new ByteWriter(4).u16(0x1234);
  const view = writer.finish();
  writer.bytes(new Uint8Array(100).fill(0xff));
  assert.equal(encodeHex(view), "1234");
});

test("F28: ByteWriter takes Buffers and gives a plain Uint8Array", () => {
  const bytes = new ByteWriter().bytes(Buffer.from("abcd", "hex")).finish();
  assert.equal(bytes.constructor, Uint8Array);
  assert.equal(encodeHex(bytes), "abcd");
});

const anyField = fc.oneof(
  fc.record({ type: fc.constant("u8" as const), value: fc.nat(0xff) }),
  fc.record({ type: fc.constant("u16" as const), value: fc.nat(0xffff) }),
  fc.record({ type: fc.constant("u32" as const), value: fc.integer({ min: 0, max: 0xffff_ffff }) }),
  fc.record({ type: fc.constant("u64" as const), value: fc.bigInt(0n, (1n << 64n) - 1n) }),
  fc.record({ type: fc.constant("bytes" as const), value: fc.uint8Array({ maxLength: 40 }) }),
);

test("what ByteWriter writes, ByteReader reads back", () => {
  fc.assert(
    fc.property(fc.array(anyField, { maxLength: 12 }), fc.nat(20), (fields, capacity) => {
      const writer = new ByteWriter(capacity);
      for (const field of fields) {
        switch (field.type) {
          case "u64":
            writer.u64(field.value);
            break;
          case "bytes":
            writer.bytes(field.value);
            break;
          default:
            writer[field.type](field.value);
        }
      }
      const reader = new ByteReader(writer.finish());
      for (const { type, value } of fields) {
        assert.deepEqual(type === "bytes" ? reader.bytes(value.length) : reader[type](), value);
      }
      assert.equal(reader.remaining, 0);
    }),
    { numRuns: 20_000 },
  );
});
