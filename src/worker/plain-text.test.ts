import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { plainLine, plainText } from "./plain-text.ts";

test("plainLine keeps what people write, emoji of several characters too", () => {
  for (const name of ["Ada", "naïve ☕", "家族 👩‍👩‍👧", "<b>bold</b>"]) {
    assert.equal(plainLine(name, 64), name);
  }
});

test("plainLine takes out line ends, escapes of terminals and what turns writing round", () => {
  assert.equal(plainLine(" a\r\n\u001b[31mb\u0000\u2028c ", 64), "a [31mb c");
  assert.equal(plainLine("abc\u202etxt.exe", 64), "abctxt.exe");
});

test("plainLine cuts between characters and says so", () => {
  assert.equal(plainLine("abcdef", 4), "abc…");
  assert.equal(plainLine("😀😀😀😀😀", 4), "😀😀😀…");
  assert.equal(plainLine("😀😀😀😀", 4), "😀😀😀😀");
});

test("plainLine makes one line of at most that length of anything", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.integer({ min: 2, max: 80 }), (text, length) => {
      const line = plainLine(text, length);
      assert([...line].length <= length, "too long");
      assert(!/[\p{Cc}\u202e]/u.test(line), "more than one line");
    }),
  );
});

test("plainText keeps lines and tabs alone of control characters", () => {
  assert.equal(plainText("a\r\nb\tc\u0007\u001b[0m\u202e"), "a\nb\tc[0m");
});
