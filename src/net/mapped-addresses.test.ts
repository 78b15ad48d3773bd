import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { test } from "node:test";
import { parseSocketAddress } from "../base/socket-address.ts";
import { parseRelayUrl } from "../identity/relay-url.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { isMapped, MappedAddresses, type MappedTarget } from "./mapped-addresses.ts";

const peer = SecretKey.fromBytes(new Uint8Array(32).fill(1)).publicKey;
const other = SecretKey.fromBytes(new Uint8Array(32).fill(2)).publicKey;
const url = parseRelayUrl("https://relay.example./");

function mappedAddresses(): MappedAddresses {
  return new MappedAddresses((into) => void randomFillSync(into));
}

test("MappedAddresses gives each target an address of its own, and finds it again", () => {
  const mapped = mappedAddresses();
  const targets: MappedTarget[] = [
    { type: "mixed", peer },
    { type: "mixed", peer: other },
    { type: "relay", url, peer },
    { type: "relay", url, peer: other },
    { type: "relay", url: parseRelayUrl("https://other.example./"), peer },
  ];
  const addresses = targets.map((target) => mapped.addressOf(target));
  assert.equal(new Set(addresses.map(({ host }) => host)).size, targets.length);
  for (const [index, address] of addresses.entries()) {
    const target = targets[index];
    assert.ok(target !== undefined && isMapped(address));
    assert.equal(address.port, 12345);
    assert.deepEqual(mapped.targetOf(address), target);
    assert.equal(mapped.addressOf(target), address);
  }
  assert.match(mapped.addressOf({ type: "relay", url, peer }).host, /^fd15:70a:510b:1:/);
});

test("MappedAddresses leaves real addresses alone", () => {
  const mapped = mappedAddresses();
  for (const text of ["127.0.0.1:1", "[::1]:2", "[fd15:70a:510c::1]:12345"]) {
    assert.equal(mapped.targetOf(parseSocketAddress(text)), undefined);
  }
});

test("MappedAddresses knows its own kind whatever the random bits are", () => {
  for (const fill of [0, 1, 0xff]) {
    const mapped = new MappedAddresses((into) => into.fill(fill));
    const target: MappedTarget = { type: "mixed", peer };
    const address = mapped.addressOf(target);
    assert.equal(isMapped(address), true, address.host);
    assert.deepEqual(mapped.targetOf(address), target);
  }
});

test("MappedAddresses says of an address that it has forgotten that it is none", () => {
  const mapped = mappedAddresses();
  const address = mapped.addressOf({ type: "mixed", peer });
  mapped.forget({ type: "mixed", peer });
  mapped.forget({ type: "mixed", peer });
  assert.equal(mapped.targetOf(address), "forgotten");
});

test("MappedAddresses forgets the peers that a relay names when there are too many, those in use last", () => {
  const mapped = mappedAddresses();
  const dialed = mapped.addressOf({ type: "mixed", peer });
  const used: MappedTarget = { type: "relay", url, peer: other };
  const inUse = mapped.addressOf(used);
  const first = mapped.addressOf({ type: "relay", url, peer });
  for (let count = 0; count < 20_000; count += 1) {
    mapped.addressOf({ type: "relay", url: parseRelayUrl(`https://relay${count}.example/`), peer });
    mapped.addressOf(used);
  }
  assert.equal(mapped.targetOf(first), "forgotten");
  assert.deepEqual(mapped.targetOf(inUse), used);
  assert.deepEqual(mapped.targetOf(dialed), { type: "mixed", peer });
});
