import assert from "node:assert/strict";
import { test } from "node:test";
import { plotArea, plotLine } from "./plot.ts";

test("plotLine goes from left to right, the largest value at the top", () => {
  assert.equal(plotLine([0, 5, 10], { width: 100, height: 23 }), "M0 21.5L50 11.5L100 1.5");
});

test("plotLine ends at the right where there are fewer values than slots", () => {
  assert.equal(plotLine([1, 1], { width: 100, height: 23, slots: 5 }), "M75 1.5L100 1.5");
  assert.equal(plotLine([5, 5], { width: 10, height: 23, atLeast: 10 }), "M0 11.5L10 11.5");
});

test("plotLine has nothing to draw for one value, and a line at the bottom for zeros", () => {
  assert.equal(plotLine([], { width: 100, height: 23 }), "");
  assert.equal(plotLine([3], { width: 100, height: 23 }), "");
  assert.equal(plotLine([0, 0], { width: 100, height: 23 }), "M0 21.5L100 21.5");
});

test("plotArea closes the line at the bottom", () => {
  assert.equal(plotArea([10, 10], { width: 100, height: 23 }), "M0 23L0 1.5L100 1.5L100 23Z");
});
