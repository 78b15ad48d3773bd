import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { median, quantile, spread } from "./statistics.ts";

test("the median of an odd number of values is one of them, of an even number the mean of two", () => {
  assert.equal(median([30, 10, 20]), 20);
  assert.equal(median([40, 10, 20, 30]), 25);
});

test("a quantile is a value that stands so far into the sorted ones", () => {
  const values = Array.from({ length: 100 }, (_, index) => 99 - index);
  assert.equal(quantile(values, 0), 0);
  assert.equal(quantile(values, 0.99), 99);
  assert.equal(quantile(values, 1), 99);
});

test("nothing has no median", () => {
  assert.deepEqual(spread([]), { median: Number.NaN, least: Number.NaN, most: Number.NaN });
});

test("the median lies between the least and the greatest, and values stay in their order", () => {
  const property = fc.property(fc.array(fc.integer(), { minLength: 1 }), (values) => {
    const copy = [...values];
    const { median: middle, least, most } = spread(values);
    assert.deepEqual(values, copy);
    assert.equal(least, Math.min(...values));
    assert.equal(most, Math.max(...values));
    assert.ok(least <= middle && middle <= most);
  });
  fc.assert(property);
});
