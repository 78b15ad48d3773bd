import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSocketAddress } from "../base/socket-address.ts";
import type { ObserverOutcome } from "./address-observers.ts";
import { type NetFindings, summarizeNetReport } from "./net-report.ts";
import type { InterfaceAddress } from "./network.ts";

function onEth0(host: string): InterfaceAddress {
  const family = host.includes(":") ? 6 : 4;
  return { interfaceName: "eth0", host, family, internal: /^(127\.|::1$)/.test(host) };
}

function answered(observer: string, address: string): ObserverOutcome {
  const observation = {
    observer: parseSocketAddress(observer),
    address: parseSocketAddress(address),
  };
  const { family } = observation.observer;
  return { kind: "stun", server: observer, family, type: "answered", observation, latencyMs: 10 };
}

function failed(server: string, family: 4 | 6 | undefined): ObserverOutcome {
  return { kind: "stun", server, family, type: "failed", error: "no answer within 3000 ms" };
}

function summarize(
  hosts: readonly string[],
  observers: readonly ObserverOutcome[],
  more: Partial<NetFindings> = {},
) {
  return summarizeNetReport({
    bound: [parseSocketAddress("0.0.0.0:7"), parseSocketAddress("[::]:7")],
    interfaces: hosts.map(onEth0),
    observers,
    relays: [],
    homeRelay: undefined,
    captivePortal: undefined,
    ...more,
  });
}

test("a home network: a NAT for IPv4, none for IPv6", () => {
  const report = summarize(
    ["127.0.0.1", "::1", "10.0.0.1", "2001:db8::1"],
    [
      answered("192.0.2.1:1", "198.51.100.1:9"),
      answered("192.0.2.2:1", "198.51.100.1:9"),
      answered("[2001:db8:1::1]:1", "[2001:db8::1]:7"),
    ],
  );
  assert.equal(report.udp, true);
  assert.deepEqual(report.ipv4, {
    available: true,
    udp: true,
    publicAddresses: [parseSocketAddress("198.51.100.1:9")],
    natMapping: "endpoint-independent",
  });
  assert.equal(report.ipv6.natMapping, "none");
  assert.equal(report.natMapping, "endpoint-independent");
  assert.deepEqual(
    report.publicAddresses,
    ["198.51.100.1:9", "[2001:db8::1]:7"].map(parseSocketAddress),
  );
});

test("an office network: no UDP gets out", () => {
  const report = summarize(["10.0.0.1"], [failed("a", 4), failed("a", 6), failed("b", undefined)]);
  assert.equal(report.udp, false);
  assert.equal(report.ipv4.udp, false);
  assert.deepEqual(report.publicAddresses, []);
  assert.equal(report.natMapping, "unknown");
  assert.equal(report.observers.length, 3);
});

test("F25: a network of IPv6 alone, and UDP that gets out in one family", () => {
  const report = summarize(
    ["127.0.0.1", "169.254.1.1", "fe80::1", "2001:db8::1"],
    [failed("a", 4), answered("[2001:db8:1::1]:1", "[2001:db8::1]:7")],
  );
  assert.equal(report.ipv4.available, false);
  assert.equal(report.ipv4.udp, false);
  assert.equal(report.ipv6.available, true);
  assert.equal(report.udp, true);
  assert.equal(report.natMapping, "none");
});

test("a symmetric NAT: each observer sees another address", () => {
  const { ipv4, natMapping } = summarize(
    ["10.0.0.1"],
    [
      answered("192.0.2.1:1", "198.51.100.1:9"),
      answered("192.0.2.2:1", "198.51.100.1:10"),
      answered("192.0.2.3:1", "198.51.100.1:11"),
    ],
  );
  assert.equal(natMapping, "endpoint-dependent");
  assert.equal(ipv4.publicAddresses.length, 2);
});

test("a host without a network, and one that nobody was asked about", () => {
  const offline = summarize(["127.0.0.1", "::1"], [failed("a", undefined)]);
  assert.equal(offline.udp, undefined);
  assert.equal(offline.ipv4.available, false);
  assert.equal(offline.ipv6.available, false);
  const unasked = summarize(["10.0.0.1"], [], { bound: [parseSocketAddress("0.0.0.0:7")] });
  assert.equal(unasked.udp, undefined);
  assert.equal(unasked.natMapping, "unknown");
  assert.equal(unasked.ipv6.available, false);
});
