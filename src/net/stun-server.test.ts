import assert from "node:assert/strict";
import { test } from "node:test";
import { parseStunServer } from "./stun-server.ts";

test("parseStunServer reads hosts, ports and URIs (RFC 7064)", () => {
  for (const [text, host, port] of [
    ["stun.example.org", "stun.example.org", 3478],
    ["stun.example.org:19302", "stun.example.org", 19302],
    ["stun:stun.example.org", "stun.example.org", 3478],
    ["stun:192.0.2.1:65535", "192.0.2.1", 65535],
    ["[2001:db8::1]", "2001:db8::1", 3478],
    ["stun:[::1]:1", "::1", 1],
  ] as const) {
    assert.deepEqual(parseStunServer(text), { host, port }, text);
  }
});

test("parseStunServer says what is wrong", () => {
  for (const text of [
    "",
    "stun:",
    "a b",
    "2001:db8::1",
    "[::1",
    "a:",
    "a:x",
    "http://a",
    "turn:a:1:2",
  ]) {
    assert.throws(() => parseStunServer(text), TypeError, text);
  }
  assert.throws(() => parseStunServer("a:0"), RangeError);
  assert.throws(() => parseStunServer("a:65536"), RangeError);
});
