import assert from "node:assert/strict";
import { test } from "node:test";
import { countOf, optionsHelp, quote, secondsOf } from "./option-table.ts";

test("numbers are taken as people write them, within their limits", () => {
  assert.equal(countOf("count", "12"), 12);
  assert.equal(secondsOf("interval", "0.2", 0.01), 200);
  assert.equal(secondsOf("interval", ".5", 0.01), 500);
  assert.equal(secondsOf("interval", "3", 0.01), 3_000);
  assert.equal(secondsOf("interval", undefined, 0.01), undefined);
  for (const text of ["", "-1", "0x10", "1e400", "99999999999999999999", "1.5"]) {
    assert.throws(() => countOf("count", text), { name: "UsageError" }, text);
  }
  for (const text of ["", "-1", "1s", "0.001", "86401", "Infinity", "."]) {
    assert.throws(() => secondsOf("x", text, 0.01), { name: "UsageError" }, text);
  }
});

test("help has the texts of options in one column", () => {
  const lines = optionsHelp({
    key: { type: "string", value: "<file>", help: "one\ntwo" },
    relay: { type: "string", multiple: true, value: "<url>", help: "some" },
  });
  assert.deepEqual(lines, [
    "  --key <file>   one\n                 two",
    "  --relay <url>  some (repeatable)",
  ]);
});

test("what was typed is quoted up to a length", () => {
  assert.equal(quote('a"b'), '"a\\"b"');
  assert.equal(quote("x".repeat(1_000)).length, 63);
});
