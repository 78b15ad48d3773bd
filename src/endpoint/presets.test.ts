import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRelayUrl } from "../identity/relay-url.ts";
import { n0Relays, presets } from "./presets.ts";

test("the public network is four relays, a publisher, and two ways to find others", () => {
  const { relays, discovery = [] } = presets.n0();
  assert.deepEqual(relays, n0Relays.production);
  assert.equal(relays?.length, 4);
  assert.equal(discovery.length, 3);
  assert.equal(presets.n0({ network: "staging" }).relays?.length, 2);
});

test("relays are written as iroh compares them", () => {
  for (const url of [...n0Relays.production, ...n0Relays.staging]) {
    assert.equal(parseRelayUrl(url), url);
  }
});

test("every part can be another", () => {
  assert.deepEqual(presets.n0({ relays: [] }).relays, []);
  assert.deepEqual(presets.n0({ relays: ["https://relay.example./"] }).relays, [
    "https://relay.example./",
  ]);
  assert.throws(() => presets.n0({ pkarrRelay: "ftp://pkarr.example" }), TypeError);
  assert.throws(() => presets.n0({ dnsServers: ["nowhere"] }));
});
