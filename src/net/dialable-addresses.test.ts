import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSocketAddress, parseSocketAddress } from "../base/socket-address.ts";
import { dialableAddresses } from "./dialable-addresses.ts";

function dialable(...addresses: string[]): string[] {
  return dialableAddresses(addresses.map(parseSocketAddress)).map(formatSocketAddress);
}

test("dialableAddresses leaves out what stands for any address or port", () => {
  assert.deepEqual(
    dialable("10.0.0.1:0", "0.0.0.0:9", "[::]:9", "[::1]:0", "[::ffff:0.0.0.0]:9", "10.0.0.1:9"),
    ["10.0.0.1:9"],
  );
});

test("dialableAddresses takes IPv4 out of its IPv6 clothes, and each address once", () => {
  assert.deepEqual(
    dialable("[::ffff:10.0.0.1]:9", "10.0.0.1:9", "[2001:db8::1]:9", "[2001:db8:0::1]:9"),
    ["10.0.0.1:9", "[2001:db8::1]:9"],
  );
});
