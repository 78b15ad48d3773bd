import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { plainFileName } from "./file-name.ts";
import { maxFileNameLength } from "./worker-limits.ts";

for (const [given, plain] of [
  ["report.pdf", "report.pdf"],
  ["/etc/passwd", "passwd"],
  ["..\\..\\boot.ini", "boot.ini"],
  ["..", "file"],
  [".bashrc", "bashrc"],
  ["", "file"],
  ["folder/", "file"],
  ["a:b|c?.txt", "a_b_c_.txt"],
  ["two\nlines\u202etxt.exe", "two linestxt.exe"],
] as const) {
  test(`plainFileName makes ${JSON.stringify(plain)} of ${JSON.stringify(given)}`, () => {
    assert.equal(plainFileName(given), plain);
  });
}

test("plainFileName makes of anything a name that is short, in one line, and no path", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 400 }), (given) => {
      const name = plainFileName(given);
      assert.match(name, /^[^.\p{Cc}/\\:][^\p{Cc}/\\:]*$/u);
      assert.ok([...name].length <= maxFileNameLength, "too long");
      assert.equal(plainFileName(name), name);
    }),
  );
});
