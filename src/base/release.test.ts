import assert from "node:assert/strict";
import { test } from "node:test";
import { cannotRelease as skip } from "../../test/support/cannot-release.ts";
import { release, releaseLarge } from "./release.ts";

test("memory that is given back is gone", { skip }, () => {
  const bytes = new Uint8Array(100);
  const { buffer } = bytes;
  release(bytes);
  assert.equal(bytes.length, 0);
  assert.equal(buffer.byteLength, 0);
  release(bytes);
});

test("a piece of a larger buffer stays, for others look at the rest of it", () => {
  const all = Uint8Array.from({ length: 10_000 }, (_, index) => index);
  for (const piece of [all.subarray(0, 9_999), all.subarray(1), Buffer.from("from the pool")]) {
    const before = [...piece];
    release(piece);
    releaseLarge(piece);
    assert.deepEqual([...piece], before);
  }
  assert.equal(all.length, 10_000);
});

test("memory that others share stays", () => {
  const shared = new Uint8Array(new SharedArrayBuffer(8_192));
  releaseLarge(shared);
  assert.equal(shared.length, 8_192);
});

test("what is small is left to the garbage collector where that costs less", { skip }, () => {
  const small = new Uint8Array(4_095);
  const large = new Uint8Array(4_096);
  releaseLarge(small);
  releaseLarge(large);
  assert.deepEqual([small.length, large.length], [4_095, 0]);
});
