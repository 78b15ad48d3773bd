import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { EncodingError } from "../base/encoding-error.ts";
import { decodePemBlock, pemBlocks, pemText } from "./pem-blocks.ts";

const block = (label: string, content: string): string =>
  `-----BEGIN ${label}-----\n${content}\n-----END ${label}-----\n`;

test("pemBlocks finds all blocks in order, with text around them and any line ends (RFC 7468 §2)", () => {
  const text = `subject=a\n${block("CERTIFICATE", "AAEC\nAw==")}\n--- and\n${block("X", "/+8=")}end`;
  for (const given of [text, text.replaceAll("\n", "\r\n"), text.replaceAll("\n", " ")]) {
    const blocks = pemBlocks(given);
    assert.deepEqual(
      blocks.map(({ label }) => label),
      ["CERTIFICATE", "X"],
    );
    assert.deepEqual(blocks.map(decodePemBlock), [
      Uint8Array.of(0, 1, 2, 3),
      Uint8Array.of(0xff, 0xef),
    ]);
  }
  assert.deepEqual(pemBlocks("no block"), []);
});

test("pemBlocks keeps the headers of old keys (RFC 1421 §4.6.1)", () => {
  const content = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00FF\n\nAAAA";
  const [key] = pemBlocks(block("RSA PRIVATE KEY", content));
  assert.equal(key?.content.trim(), content);
  assert.throws(() => key && decodePemBlock(key), EncodingError);
});

test("pemBlocks refuses a text in which a block lacks its beginning or end", () => {
  const one = block("CERTIFICATE", "AAAA");
  const bad: readonly (readonly [text: string, message: RegExp])[] = [
    [one.slice(0, -8), /block 1, "CERTIFICATE", lacks its beginning or end/],
    [one.slice(5), /block 1, "CERTIFICATE", lacks/],
    [one + one.slice(0, -8) + one, /block 2, "CERTIFICATE", lacks/],
    [one.replace("END CERT", "END X CERT"), /block 1, "CERTIFICATE", lacks/],
    [one.slice(0, -26) + block("X", "AAAA"), /block 1, "CERTIFICATE", lacks/],
    [`${one}-----END X-----`, /block 2, "X", lacks/],
  ];
  for (const [text, message] of bad) {
    assert.throws(
      () => pemBlocks(text),
      (error) => error instanceof EncodingError && message.test(error.message),
      text,
    );
  }
});

test("pemText takes text, and bytes with or without a byte order mark", () => {
  assert.equal(pemText("a", "cert"), "a");
  assert.equal(pemText(Buffer.from("\ufeffä"), "cert"), "ä");
  // Programs in JavaScript.
  const notText: unknown = { secret: "s3cret" };
  assert.throws(
    () => pemText(notText as string, "cert"),
    (error) =>
      error instanceof TypeError &&
      /^cert has to be/.test(error.message) &&
      !/s3/.test(error.message),
  );
});

test("any text is blocks or an EncodingError, and what is written reads back", () => {
  const marker = fc.constantFrom("-----BEGIN A-----", "-----END A-----", "-----BEGIN B-----", "\n");
  fuzz(
    fc.array(fc.oneof(marker, fc.string({ maxLength: 5 }), fc.base64String()), {}),
    (parts) => {
      try {
        const blocks = pemBlocks(parts.join(""));
        const again = blocks.map(({ label, content }) => block(label, content)).join("");
        assert.deepEqual(
          pemBlocks(again).map(({ label }) => label),
          blocks.map(({ label }) => label),
        );
      } catch (error) {
        assert.ok(error instanceof EncodingError);
      }
    },
    20_000,
  );
});
