import assert from "node:assert/strict";
import { test } from "node:test";
import { packetCipher } from "./packet-cipher.ts";

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "hex"));

const key = Uint8Array.from({ length: 32 }, (_, index) => 0x80 + index);
const nonce = hex("070000004041424344454647");
const header = hex("50515253c0c1c2c3c4c5c6c7");
const text = new TextEncoder().encode(
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
);
const sealed = hex(
  "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6" +
    "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36" +
    "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc" +
    "3ff4def08e4b7a9de576d26586cec64b6116",
);
const tag = hex("1ae10b594f09e26a7e902ecbd0600691");

test("the cipher gives what RFC 8439 §2.8.2 has, in place", () => {
  assert(packetCipher !== undefined, "this Node.js lacks the cipher");
  const payload = text.slice();
  const made = new Uint8Array(16);
  packetCipher.seal(key, nonce, header, payload, made);
  assert.deepEqual(payload, sealed);
  assert.deepEqual(made, tag);
  assert.equal(packetCipher.open(key, nonce, header, payload, made), true);
  assert.deepEqual(payload, text);
});

test("what was changed is not opened, and stays as it is", () => {
  assert(packetCipher !== undefined, "this Node.js lacks the cipher");
  const changed = (bytes: Uint8Array): Uint8Array => bytes.with(0, (bytes[0] ?? 0) ^ 1);
  for (const [what, values] of Object.entries({
    key: { key: changed(key) },
    nonce: { nonce: changed(nonce) },
    header: { header: changed(header) },
    text: { payload: changed(sealed) },
    tag: { tag: changed(tag) },
  })) {
    const given = { key, nonce, header, payload: sealed.slice(), tag, ...values };
    const before = given.payload.slice();
    assert.equal(
      packetCipher.open(given.key, given.nonce, given.header, given.payload, given.tag),
      false,
      what,
    );
    assert.deepEqual(given.payload, before, what);
  }
});
