import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { H3, H3Error } from "./h3-error.ts";
import {
  callerMistake,
  checkRequestHead,
  checkResponseHead,
  checkTrailers,
} from "./message-rules.ts";
import type { Field } from "./qpack/field.ts";

// The table of what is malformed is in http3-faults.test.ts; here is what holds for all sections.

const anyName = fc.oneof(
  fc.constantFrom(":method", ":scheme", ":authority", ":path", ":status", ":protocol", "host"),
  fc.constantFrom("content-length", "te", "connection", "cookie", "x-a", "X-A", ""),
  fc.string({ maxLength: 6, unit: "binary-ascii" }),
);
const anyValue = fc.oneof(
  fc.constantFrom("GET", "CONNECT", "https", "a", "/", "*", "200", "100", "5", "trailers", ""),
  fc.string({ maxLength: 8, unit: "binary-ascii" }),
);
const anySection: fc.Arbitrary<Field[]> = fc.array(fc.tuple(anyName, anyValue), { maxLength: 6 });

test("any section passes, or is malformed and says where the rule is (RFC 9114 §4.1.2)", () => {
  for (const check of [checkRequestHead, checkResponseHead, checkTrailers]) {
    fuzz(anySection, (fields) => {
      try {
        check(fields);
      } catch (error) {
        assert.ok(error instanceof H3Error);
        assert.equal(error.code, H3.MESSAGE_ERROR);
        assert.equal(error.scope, "stream");
        assert.match(error.message, /^malformed message: .* \(RFC 9114 §[0-9.]+\)$/);
        assert.ok(error.message.length < 250);
      }
    });
  }
});

test("what passes has no upper-case name, no control character and its pseudo-header fields first", () => {
  fuzz(anySection, (fields) => {
    const request: Field[] = [
      [":method", "GET"],
      [":scheme", "https"],
      [":authority", "a"],
      [":path", "/"],
      ...fields,
    ];
    try {
      checkRequestHead(request);
    } catch {
      return;
    }
    for (const [name, value] of fields) {
      assert.match(name, /^[^:A-Z\s][^A-Z\s]*$/);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      assert.doesNotMatch(value, /[\0-\x08\x0a-\x1f\x7f]/);
    }
  });
});

test("a frozen section is read once, and its faults again and again", () => {
  const head: Field[] = [[":status", "200"]];
  const frozen = Object.freeze([...head]);
  assert.equal(checkResponseHead(frozen), checkResponseHead(frozen));
  assert.notEqual(checkResponseHead(head), checkResponseHead(head));
  const bad = Object.freeze<Field[]>([["A", "b"]]);
  assert.throws(() => checkRequestHead(bad), H3Error);
  assert.throws(() => checkRequestHead(bad), H3Error);
});

test("a head tells method or status, and its content-length", () => {
  assert.deepEqual(
    checkRequestHead([
      [":method", "POST"],
      [":scheme", "https"],
      [":path", "/a?b"],
      [":authority", "a:1"],
      ["content-length", "007"],
    ]),
    { method: "POST", contentLength: 7 },
  );
  assert.deepEqual(checkResponseHead([[":status", "599"]]), {
    status: 599,
    contentLength: undefined,
  });
});

test("the same faults in what we send are TypeErrors of the caller", () => {
  assert.throws(
    () => callerMistake(() => checkResponseHead([["a", "b"]])),
    (error) => error instanceof TypeError && error.cause instanceof H3Error,
  );
  const bug = new RangeError("x");
  assert.throws(
    () =>
      callerMistake(() => {
        throw bug;
      }),
    bug,
  );
});
