import assert from "node:assert/strict";
import { test } from "node:test";
import { formatNumber } from "./format-number.ts";

test("numbers are given with the digits that mean something", () => {
  const expected: [number, string][] = [
    [0, "0.000"],
    [0.0816, "0.082"],
    [1.234, "1.23"],
    [12.34, "12.3"],
    [123.4, "123"],
    [1_234.5, "1,235"],
    [123_456, "123,500"],
    [-12.34, "-12.3"],
    [Number.NaN, "–"],
  ];
  for (const [value, text] of expected) {
    assert.equal(formatNumber(value), text);
  }
});
