import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SharedRing } from "./shared-ring.ts";

const capacity = 64;

function pair(): { writer: SharedRing; reader: SharedRing } {
  const memory = SharedRing.memory(capacity);
  return { writer: new SharedRing(memory), reader: new SharedRing(memory) };
}

function write(ring: SharedRing, record: Uint8Array): boolean {
  const at = ring.reserve(record.length);
  if (at !== undefined) {
    ring.bytes.set(record, at);
  }
  return at !== undefined;
}

function read(ring: SharedRing): Uint8Array[] {
  const records: Uint8Array[] = [];
  ring.drain((start, end) => records.push(ring.bytes.slice(start, end)));
  return records;
}

test("SharedRing gives back the records that were written, in order, and refuses what has no room", () => {
  const step = fc.oneof(
    fc.uint8Array({ maxLength: 40 }).map((record) => ({ type: "write", record }) as const),
    fc.constant({ type: "publish" } as const),
    fc.constant({ type: "drain" } as const),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const { writer, reader } = pair();
      let reserved: Uint8Array[] = [];
      let published: Uint8Array[] = [];
      for (const step of steps) {
        if (step.type === "write") {
          if (write(writer, step.record)) {
            reserved.push(step.record);
          } else {
            const isBusy = reserved.length + published.length > 0;
            assert.ok(isBusy || step.record.length > writer.maxLength, "an empty ring has room");
          }
        } else if (step.type === "publish") {
          writer.publish();
          published.push(...reserved);
          reserved = [];
        } else {
          assert.deepEqual(read(reader), published);
          published = [];
        }
      }
    }),
  );
});

test("SharedRing asks to tell the reader once, until that has looked", () => {
  const { writer, reader } = pair();
  assert.equal(writer.publish(), false, "there is nothing to tell of");
  write(writer, Uint8Array.of(1));
  assert.equal(writer.publish(), true);
  write(writer, Uint8Array.of(2));
  assert.equal(writer.publish(), false);
  assert.deepEqual(read(reader), [Uint8Array.of(1), Uint8Array.of(2)]);
  write(writer, Uint8Array.of(3));
  assert.equal(writer.publish(), true);
});

test("SharedRing counts on after 2^32 bytes", () => {
  const memory = SharedRing.memory(capacity);
  new Int32Array(memory, 0, 2).fill(-16);
  const writer = new SharedRing(memory);
  const reader = new SharedRing(memory);
  for (let number = 0; number < 20; number += 1) {
    const record = new Uint8Array(number).fill(number);
    assert.ok(write(writer, record), "there is room");
    writer.publish();
    assert.deepEqual(read(reader), [record]);
  }
});

test("SharedRing loses no more than the record at which its reader throws", () => {
  const { writer, reader } = pair();
  write(writer, Uint8Array.of(1));
  write(writer, Uint8Array.of(2));
  writer.publish();
  assert.throws(
    () =>
      reader.drain(() => {
        throw new Error("no");
      }),
    /no/,
  );
  assert.deepEqual(read(reader), [Uint8Array.of(2)]);
});

test("SharedRing.memory takes powers of two alone", () => {
  assert.throws(() => SharedRing.memory(100), RangeError);
  assert.throws(() => SharedRing.memory(4), RangeError);
});
