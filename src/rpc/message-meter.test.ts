import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MessageMeter } from "./message-meter.ts";

function envelope(length: number): Uint8Array {
  const bytes = new Uint8Array(5 + length);
  new DataView(bytes.buffer).setUint32(1, length);
  return bytes;
}

test("a whole message is held until the end", () => {
  const meter = new MessageMeter("whole");
  assert.equal(meter.add(new Uint8Array(10)), 10);
  assert.equal(meter.add(new Uint8Array(7)), 7);
});

test("complete messages are not held, however the content is cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 6 }),
      fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 }),
      (lengths, cuts) => {
        const content = Buffer.concat(lengths.map(envelope));
        const ends = new Set<number>([0]);
        let end = 0;
        for (const length of lengths) {
          end += 5 + length;
          ends.add(end);
        }
        const meter = new MessageMeter("enveloped");
        let held = 0;
        let offset = 0;
        for (let turn = 0; offset < content.length; turn += 1) {
          const piece = content.subarray(offset, offset + (cuts[turn % cuts.length] ?? 1));
          offset += piece.length;
          held += meter.add(piece);
          const begun = Math.max(...[...ends].filter((each) => each <= offset));
          assert.equal(held, offset - begun);
        }
        assert.equal(held, 0);
      },
    ),
    { numRuns: 2_000 },
  );
});

test("lengths above 2 GiB are lengths", () => {
  const meter = new MessageMeter("enveloped");
  assert.equal(meter.add(Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff)), 5);
  assert.equal(meter.add(new Uint8Array(100)), 100);
});
