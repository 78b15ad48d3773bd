import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cannotRelease } from "../../test/support/cannot-release.ts";
import { ContentBuffer } from "./content-buffer.ts";

test("what was pushed comes back as one, whatever the pieces", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3_000 }), { maxLength: 20 }), (pieces) => {
      const buffer = new ContentBuffer();
      for (const piece of pieces) {
        buffer.push(piece.slice());
      }
      const all = Buffer.concat(pieces);
      assert.equal(buffer.length, all.length);
      assert.deepEqual(Buffer.from(buffer.take()), all);
      assert.equal(buffer.length, 0);
      assert.equal(buffer.take().length, 0);
    }),
  );
});

test("a single piece is not copied", () => {
  const piece = Uint8Array.of(1, 2, 3);
  const buffer = new ContentBuffer();
  buffer.push(piece);
  assert.equal(buffer.take(), piece);
});

test("pieces that were put together are given back, where Node.js can do that", () => {
  const pieces = [1, 2, 3].map((byte) => new Uint8Array(5_000).fill(byte));
  const buffer = new ContentBuffer();
  for (const piece of pieces) {
    buffer.push(piece);
  }
  assert.equal(buffer.take().length, 15_000);
  const length = cannotRelease === false ? 0 : 5_000;
  assert.deepEqual(
    pieces.map((piece) => piece.length),
    [length, length, length],
  );
});
