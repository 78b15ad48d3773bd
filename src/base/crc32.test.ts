import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32 } from "./crc32.ts";

test("crc32 has the known checksums", () => {
  const encoder = new TextEncoder();
  for (const [text, checksum] of [
    ["", 0],
    ["123456789", 0xcbf4_3926],
    ["The quick brown fox jumps over the lazy dog", 0x414f_a339],
  ] as const) {
    assert.equal(crc32(encoder.encode(text)), checksum, text);
  }
  assert.equal(crc32(new Uint8Array(32)), 0x190a_55ad);
});
