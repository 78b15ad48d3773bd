import assert from "node:assert/strict";
import { test } from "node:test";
import { Point } from "@noble/ed25519";
import fc from "fast-check";
import { smallOrderEncodings } from "../../test/vectors/bent-signature.ts";
import { decodeHex } from "../base/hex.ts";
import { isSmallOrder } from "./curve-point.ts";

/** What arithmetic says. */
function hasSmallOrder(bytes: Uint8Array): boolean {
  try {
    return Point.fromBytes(bytes, true).isSmallOrder();
  } catch {
    return false;
  }
}

test("isSmallOrder knows every encoding of the eight points, and those alone", () => {
  const encodings = smallOrderEncodings.map(decodeHex);
  assert.ok(encodings.length >= 8, "there are eight at least");
  for (const bytes of encodings) {
    assert.ok(isSmallOrder(bytes), "one of the list");
    for (let bit = 0; bit < 256; bit += 1) {
      const other = bytes.map((byte, index) =>
        index === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte,
      );
      assert.equal(isSmallOrder(other), hasSmallOrder(other), Buffer.from(other).toString("hex"));
    }
  }
});

test("isSmallOrder agrees with arithmetic on y coordinates near 0 and the order of the field, and on any", () => {
  const near = fc.tuple(
    fc.constantFrom(0x00, 0xff),
    fc.integer({ min: 0, max: 255 }),
    fc.boolean(),
  );
  const edges = near.map(([fill, first, sign]) => {
    const bytes = new Uint8Array(32).fill(fill);
    bytes[0] = first;
    bytes[31] = (fill & 0x7f) | (sign ? 0x80 : 0);
    return bytes;
  });
  const any = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(fc.oneof(edges, any), (bytes) => {
      assert.equal(isSmallOrder(bytes), hasSmallOrder(bytes));
    }),
    { numRuns: 1_000 },
  );
});
