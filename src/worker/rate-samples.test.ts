import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RateSamples } from "./rate-samples.ts";

test("RateSamples says bytes a second for each span that is over", () => {
  const samples = new RateSamples({ spanMs: 250, max: 8 });
  samples.add(100, 100);
  assert.deepEqual(samples.rates(), []);
  samples.add(500, 500);
  assert.deepEqual(samples.rates(), [1_000, 1_000]);
  samples.add(500, 750);
  assert.deepEqual(samples.rates(), [1_000, 1_000, 0]);
});

test("RateSamples makes one span of two when there are too many, also after a long sleep", () => {
  const samples = new RateSamples({ spanMs: 250, max: 4 });
  samples.add(1_000, 1_000);
  assert.deepEqual(samples.rates(), [1_000, 1_000]);
  samples.add(1_000, 36_000_000);
  assert(samples.rates().length < 4, "too many spans");
});

test("RateSamples loses no bytes", () => {
  const steps = fc.array(fc.tuple(fc.nat(1_000_000), fc.nat(5_000)), { maxLength: 50 });
  fc.assert(
    fc.property(steps, (list) => {
      const samples = new RateSamples({ spanMs: 1, max: 16 });
      let bytes = 0;
      let atMs = 0;
      for (const [more, laterMs] of list) {
        bytes += more;
        atMs += laterMs;
        samples.add(bytes, atMs);
        assert(samples.rates().length < 16, "too many spans");
        assert(
          samples.rates().every((rate) => rate >= -1e-3),
          "a rate below zero",
        );
      }
      // All spans are over after a while without bytes, and count what they last.
      samples.add(bytes, atMs + 100_000);
      const rates = samples.rates();
      const spanMs = 2 ** Math.floor(Math.log2((atMs + 100_000) / rates.length));
      const counted = rates.reduce((sum, rate) => sum + (rate * spanMs) / 1_000, 0);
      assert(Math.abs(counted - bytes) <= bytes * 1e-6 + 1e-3, `${counted} of ${bytes}`);
    }),
  );
});
