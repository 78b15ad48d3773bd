import assert from "node:assert/strict";
import { test } from "node:test";
import { hostNetwork } from "./host-network.ts";

test("hostNetwork is the same for the addresses of one host, and differs between hosts", () => {
  assert.equal(hostNetwork("192.0.2.1"), hostNetwork("::ffff:192.0.2.1"));
  assert.notEqual(hostNetwork("192.0.2.1"), hostNetwork("192.0.2.2"));
  assert.equal(hostNetwork("2001:db8:0:1::1"), hostNetwork("2001:db8:0:1:ffff::2"));
  assert.notEqual(hostNetwork("2001:db8:0:1::1"), hostNetwork("2001:db8:0:2::1"));
  assert.notEqual(hostNetwork("::1"), hostNetwork("0.0.0.1"));
  assert.throws(() => hostNetwork("relay.test"), TypeError);
});
