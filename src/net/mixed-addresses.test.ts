import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { test } from "node:test";
import { parseSocketAddress } from "../base/socket-address.ts";
import { isMixed, MixedAddresses } from "./mixed-addresses.ts";

const members = [parseSocketAddress("127.0.0.1:1"), parseSocketAddress("[::1]:2")];

test("MixedAddresses stands for a set of addresses until it is removed", () => {
  const mixed = new MixedAddresses((into) => void randomFillSync(into));
  const one = mixed.add(members);
  const other = mixed.add(members.slice(0, 1));
  assert.notEqual(one.host, other.host);
  assert.equal(isMixed(one), true);
  assert.deepEqual(mixed.resolve(one), members);
  mixed.remove(one);
  assert.deepEqual(mixed.resolve(one), []);
  assert.deepEqual(mixed.resolve(other), members.slice(0, 1));
});

test("MixedAddresses leaves real addresses alone", () => {
  const mixed = new MixedAddresses((into) => void randomFillSync(into));
  for (const member of members) {
    assert.equal(mixed.resolve(member), undefined);
  }
});

test("MixedAddresses knows its own kind whatever the random bits are", () => {
  for (const fill of [0, 1, 0xff]) {
    const mixed = new MixedAddresses((into) => into.fill(fill));
    const address = mixed.add(members);
    assert.equal(isMixed(address), true, address.host);
    assert.deepEqual(mixed.resolve(address), members);
  }
});
