import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSocketAddress } from "../base/socket-address.ts";
import { isPlausible } from "./observation.ts";

function plausible(observer: string, address: string): boolean {
  return isPlausible({
    observer: parseSocketAddress(observer),
    address: parseSocketAddress(address),
  });
}

test("isPlausible takes public and private addresses of the observer's family", () => {
  for (const address of ["192.0.2.1:1", "10.0.0.1:65535", "100.64.0.1:9", "223.255.255.255:9"]) {
    assert.ok(plausible("198.51.100.1:3478", address), address);
  }
  for (const address of ["[2001:db8::1]:1", "[fd00::1]:9"]) {
    assert.ok(plausible("[2001:db8::2]:3478", address), address);
  }
});

test("isPlausible refuses what a hostile observer may say", () => {
  for (const address of [
    "192.0.2.1:0",
    "0.0.0.0:9",
    "0.1.2.3:9",
    "127.0.0.1:9",
    "127.255.1.2:9",
    "169.254.1.1:9",
    "224.0.0.251:5353",
    "239.1.2.3:9",
    "240.0.0.1:9",
    "255.255.255.255:9",
    "[2001:db8::1]:9",
  ]) {
    assert.ok(!plausible("198.51.100.1:3478", address), address);
  }
  for (const address of [
    "[2001:db8::1]:0",
    "[::]:9",
    "[::1]:9",
    "[fe80::1]:9",
    "[ff02::fb]:5353",
    "[::ffff:127.0.0.1]:9",
    "192.0.2.1:9",
  ]) {
    assert.ok(!plausible("[2001:db8::2]:3478", address), address);
  }
});

test("isPlausible takes loopback from an observer on loopback", () => {
  assert.ok(plausible("127.0.0.1:3478", "127.0.0.1:9"));
  assert.ok(plausible("[::1]:3478", "[::1]:9"));
});
