import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Slab } from "./slab.ts";

await describe("Slab", async () => {
  await test("gives each taker bytes that no other has", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(3_000), { maxLength: 200 }), (lengths) => {
        const slab = new Slab();
        const pieces = lengths.map((length, index) => slab.take(length).fill(index + 1));
        assert.deepEqual(
          pieces.map((piece) => piece.length),
          lengths,
        );
        for (const [index, piece] of pieces.entries()) {
          assert.ok(
            piece.every((byte) => byte === ((index + 1) & 0xff)),
            `piece ${index} was changed`,
          );
        }
      }),
    );
  });

  await test("keeps small pieces together, and large ones apart", () => {
    const slab = new Slab();
    const [one, other, large] = [slab.take(100), slab.take(1_024), slab.take(1_025)];
    assert.equal(one.buffer, other.buffer);
    assert.equal(one.buffer.byteLength, 8_192);
    assert.equal(large.buffer.byteLength, 1_025);
  });
});
