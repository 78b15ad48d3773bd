import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { EncodingError } from "./encoding-error.ts";
import { decodeHex, encodeHex } from "./hex.ts";

test("hex has two lower-case digits for each byte", () => {
  assert.equal(encodeHex(Uint8Array.of(0, 1, 0x0f, 0xf0, 0xab, 0xff)), "00010ff0abff");
  assert.deepEqual(decodeHex("00010ff0abff"), Uint8Array.of(0, 1, 0x0f, 0xf0, 0xab, 0xff));
  assert.equal(encodeHex(new Uint8Array(0)), "");
  assert.deepEqual(decodeHex(""), new Uint8Array(0));
});

test("decodeHex says which character is no digit", () => {
  const bad: readonly (readonly [text: string, index: number, symbol: string])[] = [
    ["0A", 1, '"A"'],
    ["00g", 2, '"g"'],
    [" 00", 0, '" "'],
    ["00\n", 2, '"\\n"'],
    ["0/", 1, '"/"'],
    ["0:", 1, '":"'],
    ["0`", 1, '"`"'],
    ["0😀", 1, '"😀"'],
  ];
  for (const [text, index, symbol] of bad) {
    assert.throws(
      () => decodeHex(text),
      (error) =>
        error instanceof EncodingError &&
        error.index === index &&
        error.message.includes(symbol) &&
        error.message.includes(`character ${index + 1}`),
      text,
    );
  }
});

test("decodeHex refuses half a byte", () => {
  assert.throws(
    () => decodeHex("000"),
    (error) => error instanceof EncodingError && error.index === undefined,
  );
});

test("F28: encodeHex takes a Buffer, and decodeHex gives a plain Uint8Array", () => {
  assert.equal(encodeHex(Buffer.from([1, 2])), "0102");
  assert.equal(decodeHex("0102").constructor, Uint8Array);
});

test("all bytes read back from hex", () => {
  fuzz(
    fc.uint8Array({ maxLength: 40 }),
    (bytes) => {
      const text = encodeHex(bytes);
      assert.equal(text, Buffer.from(bytes).toString("hex"));
      assert.deepEqual(decodeHex(text), bytes);
    },
    20_000,
  );
});

test("any text is hex or an EncodingError", () => {
  const anyText = fc.oneof(
    fc.string({ maxLength: 20 }),
    fc.string({ unit: fc.constantFrom(..."0123456789abcdefAgz"), maxLength: 12 }),
  );
  fuzz(anyText, (text) => {
    try {
      assert.equal(encodeHex(decodeHex(text)), text);
    } catch (error) {
      assert.ok(error instanceof EncodingError);
    }
  });
});
