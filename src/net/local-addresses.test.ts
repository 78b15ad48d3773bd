import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSocketAddress, parseSocketAddress } from "../base/socket-address.ts";
import { isLinkLocal, reachableAddresses } from "./local-addresses.ts";
import type { InterfaceAddress } from "./network.ts";

function at(interfaceName: string, host: string, more: Partial<InterfaceAddress> = {}) {
  return {
    interfaceName,
    host,
    family: host.includes(":") ? 6 : 4,
    internal: interfaceName === "lo",
    ...more,
  } as const;
}

const loopback = [at("lo", "127.0.0.1"), at("lo", "::1")];

function reachable(bound: readonly string[], interfaces: readonly InterfaceAddress[]): string[] {
  return reachableAddresses(bound.map(parseSocketAddress), interfaces).map(formatSocketAddress);
}

test("reachableAddresses puts the addresses of all interfaces in place of an unspecified one", () => {
  const interfaces = [...loopback, at("eth0", "192.0.2.1"), at("wlan0", "2001:db8::1")];
  assert.deepEqual(reachable(["0.0.0.0:7", "[::]:8"], interfaces), [
    "192.0.2.1:7",
    "[2001:db8::1]:8",
  ]);
  assert.deepEqual(reachable(["0.0.0.0:7"], interfaces), ["192.0.2.1:7"]);
});

test("reachableAddresses leaves what was bound by its own address as it is", () => {
  assert.deepEqual(reachable(["127.0.0.1:7", "[::]:8"], [at("eth0", "2001:db8::1")]), [
    "127.0.0.1:7",
    "[2001:db8::1]:8",
  ]);
});

test("reachableAddresses offers loopback only on a host that has nothing else", () => {
  assert.deepEqual(reachable(["0.0.0.0:7", "[::]:8"], loopback), ["127.0.0.1:7", "[::1]:8"]);
  const linkLocal = [...loopback, at("eth0", "fe80::1"), at("eth0", "169.254.3.4")];
  assert.deepEqual(reachable(["0.0.0.0:7", "[::]:8"], linkLocal), ["127.0.0.1:7", "[::1]:8"]);
  assert.deepEqual(reachable(["0.0.0.0:7", "[::]:8"], []), []);
});

test("reachableAddresses leaves out short-lived IPv6 addresses where the interface has another", () => {
  const shortLived = { shortLived: true };
  const interfaces = [
    at("eth0", "2001:db8::1"),
    at("eth0", "2001:db8::2", shortLived),
    at("eth1", "2001:db8:1::2", shortLived),
    at("eth1", "192.0.2.1"),
  ];
  assert.deepEqual(reachable(["[::]:8"], interfaces), ["[2001:db8::1]:8", "[2001:db8:1::2]:8"]);
});

test("isLinkLocal knows the two networks and their neighbours", () => {
  for (const host of ["169.254.0.1", "fe80::1", "fe90::1", "febf:1::"]) {
    assert.ok(isLinkLocal(host), host);
  }
  for (const host of ["169.253.0.1", "16.254.0.1", "fe8::1", "fec0::1", "fd00::fe80"]) {
    assert.ok(!isLinkLocal(host), host);
  }
});
