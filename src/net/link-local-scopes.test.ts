import assert from "node:assert/strict";
import { test } from "node:test";
import { socketAddress } from "../base/socket-address.ts";
import { LinkLocalScopes } from "./link-local-scopes.ts";

test("LinkLocalScopes sends answers out where the question came in", () => {
  const scopes = new LinkLocalScopes();
  const peer = socketAddress("fe80::1%eth0", 1);
  assert.equal(scopes.hostOf(peer), "fe80::1");
  scopes.learn(peer, "fe80::1%eth0");
  assert.equal(scopes.hostOf(socketAddress("fe80::1", 2)), "fe80::1%eth0");
  scopes.learn(peer, "fe80::1%eth1");
  assert.equal(scopes.hostOf(peer), "fe80::1%eth1");
});

test("LinkLocalScopes leaves addresses without a scope alone", () => {
  const scopes = new LinkLocalScopes();
  const peer = socketAddress("2001:db8::1", 1);
  scopes.learn(peer, "2001:db8::1");
  assert.equal(scopes.hostOf(peer), "2001:db8::1");
});
