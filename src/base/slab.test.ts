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
    const [one, other, large] = [slab.take(100), slab.take(28), slab.take(1_025)];
    assert.equal(one.buffer, other.buffer);
    assert.equal(large.buffer.byteLength, 1_025);
  });

  await test("begins small, and grows with what is taken", () => {
    const slab = new Slab();
    assert.equal(slab.take(7).buffer.byteLength, 128);
    for (let times = 0; times < 20; times += 1) {
      slab.take(1_024);
    }
    assert.equal(slab.take(1_024).buffer.byteLength, 8_192);
  });
});
