import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { test } from "node:test";
import { parseSocketAddress } from "../base/socket-address.ts";
import { isMapped } from "./mapped-addresses.ts";
import { SpreadAddresses } from "./spread-addresses.ts";

const members = ["127.0.0.1:1", "[::1]:2", "[fd15:70a:510c::1]:12345"].map(parseSocketAddress);

test("SpreadAddresses gives each set an address of its own, until the set is removed", () => {
  const spread = new SpreadAddresses((into) => void randomFillSync(into));
  const one = spread.add(members);
  const other = spread.add(members.slice(0, 1));
  assert.notEqual(one.host, other.host);
  assert.equal(isMapped(one), true);
  assert.deepEqual(spread.membersOf(one), members);
  spread.remove(one);
  assert.equal(spread.membersOf(one), undefined);
  assert.deepEqual(spread.membersOf(other), members.slice(0, 1));
  for (const member of members) {
    assert.equal(spread.membersOf(member), undefined);
  }
});
