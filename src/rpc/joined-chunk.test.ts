import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { JoinedChunk } from "./joined-chunk.ts";

test("small chunks are joined up to 4 KiB, and others stay as they are", () => {
  const large = new Uint8Array(1_024);
  const chunk = new JoinedChunk(large);
  assert.equal(chunk.add(Uint8Array.of(1)), false);
  assert.equal(chunk.bytes, large);
  const small = new JoinedChunk(Uint8Array.of(1));
  assert.equal(small.add(large), false);
  for (let length = 1; length < 4_096; length += 1) {
    assert.equal(small.add(Uint8Array.of(2)), true);
  }
  assert.equal(small.add(Uint8Array.of(3)), false);
  assert.deepEqual([small.length, small.pieces], [4_096, 4_096]);
});

test("F9: a list of them has the bytes of its pieces, few entries and little memory besides", () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(1, 2, 500, 1_023, 1_024, 3_000), { maxLength: 300 }),
      (lengths) => {
        // Of one buffer, as an engine gives them; nothing may be written to it.
        const total = lengths.reduce((sum, length) => sum + length, 0);
        const sent = Uint8Array.from({ length: total }, (_, index) => index % 251);
        const chunks: JoinedChunk[] = [];
        let at = 0;
        for (const length of lengths) {
          const piece = sent.subarray(at, at + length);
          at += length;
          if (chunks.at(-1)?.add(piece) !== true) {
            chunks.push(new JoinedChunk(piece));
          }
        }
        const joined = Buffer.concat(chunks.map(({ bytes }) => bytes));
        assert.deepEqual(
          joined,
          Buffer.from(Array.from({ length: total }, (_, index) => index % 251)),
        );
        assert.ok(chunks.length <= 2 * Math.ceil(total / 1_024));
        assert.equal(
          chunks.reduce((sum, { pieces }) => sum + pieces, 0),
          lengths.length,
        );
      },
    ),
    { numRuns: 500 },
  );
});
