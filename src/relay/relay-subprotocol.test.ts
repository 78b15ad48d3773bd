import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRelayUrl } from "../identity/relay-url.ts";
import { relaySubprotocols, relayVersionOf, relayWebSocketUrl } from "./relay-subprotocol.ts";

test("the WebSocket of a relay is at /relay, with TLS unless its URL says otherwise", () => {
  for (const [url, expected] of [
    ["https://relay.example", "wss://relay.example/relay"],
    ["https://use1-1.relay.n0.iroh.link./", "wss://use1-1.relay.n0.iroh.link./relay"],
    ["http://127.0.0.1:3340/some/path?region=eu#x", "ws://127.0.0.1:3340/relay?region=eu"],
    ["ws://[::1]:80/", "ws://[::1]/relay"],
    ["wss://relay.example:8443", "wss://relay.example:8443/relay"],
    ["relay://relay.example:1", "wss://relay.example:1/relay"],
  ] as const) {
    assert.equal(relayWebSocketUrl(parseRelayUrl(url)).href, expected);
  }
});

test("each subprotocol is a version, and no other is", () => {
  assert.deepEqual(relaySubprotocols.map(relayVersionOf), [2, 1]);
  assert.equal(relayVersionOf("iroh-relay-v3"), undefined);
});
