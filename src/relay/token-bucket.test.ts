import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { TokenBucket } from "./token-bucket.ts";

test("TokenBucket lets a burst pass, then makes wait as long as it takes to refill", () => {
  const bucket = new TokenBucket(1_000, 500, 0);
  assert.equal(bucket.take(500, 0), 0);
  assert.equal(bucket.take(100, 0), 100);
  assert.equal(bucket.take(100, 100), 100);
  assert.equal(bucket.take(500, 10_000), 0);
  assert.equal(bucket.take(1, 10_000), 1);
});

test("TokenBucket without a rate never makes wait", () => {
  const bucket = new TokenBucket(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, 0);
  assert.equal(bucket.take(1e12, 0), 0);
});

test("whoever waits as told gets no more than the rate and one burst", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 2_000 }), { minLength: 1 }), (sizes) => {
      const bucket = new TokenBucket(1_000, 500, 0);
      let now = 0;
      let taken = 0;
      for (const size of sizes) {
        const waitMs = bucket.take(size, now);
        taken += size;
        now += waitMs;
        assert.ok(taken <= 500 + now + 1e-6);
      }
    }),
  );
});
