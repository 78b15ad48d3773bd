import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSocketAddress } from "../base/socket-address.ts";
import { parseRelayUrl } from "../identity/relay-url.ts";
import type { NetReport } from "../net/net-report.ts";
import { describeNetReport, netReportJson } from "./net-report-text.ts";

const near = parseRelayUrl("https://near.example");
const far = parseRelayUrl("https://far.example");
const dead = parseRelayUrl("https://dead.example");
const seen = parseSocketAddress("203.0.113.7:41641");
const own = [parseSocketAddress("192.168.1.5:41641"), seen];

const home: NetReport = {
  udp: true,
  ipv4: { available: true, udp: true, publicAddresses: [seen], natMapping: "endpoint-independent" },
  ipv6: { available: false, udp: undefined, publicAddresses: [], natMapping: "unknown" },
  publicAddresses: [seen],
  natMapping: "endpoint-independent",
  relays: [
    { type: "failed", url: dead, error: "connect ECONNREFUSED" },
    { type: "answered", url: far, latencyMs: 120.4 },
    { type: "answered", url: near, latencyMs: 12.34 },
  ],
  homeRelay: near,
  captivePortal: false,
  observers: [
    {
      kind: "stun",
      server: "stun.example:3478",
      family: 4,
      type: "answered",
      observation: { observer: parseSocketAddress("198.51.100.1:3478"), address: seen },
      latencyMs: 15.6,
    },
    { kind: "relay", server: far, family: 4, type: "failed", error: "no answer within 3000 ms" },
    { kind: "stun", server: "nowhere", family: undefined, type: "failed", error: "not found" },
  ],
};

test("a report says in words what was found, relays by latency, and why something failed", () => {
  assert.deepEqual(describeNetReport(home, own), [
    "UDP             gets through",
    "IPv4            yes, seen as 203.0.113.7:41641",
    "IPv6            no",
    "NAT             one address for all destinations (endpoint-independent): direct paths are possible",
    "own addresses   192.168.1.5:41641, 203.0.113.7:41641",
    "home relay      https://near.example/",
    "captive portal  no",
    "",
    "relays",
    "  https://near.example/  12.3 ms",
    "  https://far.example/  120 ms",
    "  https://dead.example/  failed: connect ECONNREFUSED",
    "",
    "asked where they see us",
    "  STUN stun.example:3478 over IPv4  203.0.113.7:41641 in 15.6 ms",
    "  relay https://far.example/ over IPv4  failed: no answer within 3000 ms",
    "  STUN nowhere  failed: not found",
  ]);
});

test("a report of a network in which nothing answers says so", () => {
  const family = {
    available: true,
    udp: false,
    publicAddresses: [],
    natMapping: "unknown",
  } as const;
  const lines = describeNetReport(
    {
      ...home,
      udp: false,
      ipv4: family,
      ipv6: family,
      natMapping: "unknown",
      relays: [],
      homeRelay: undefined,
      captivePortal: true,
      observers: [],
    },
    [],
  );
  assert.deepEqual(lines.slice(0, 3), [
    "UDP             blocked, or nobody answers",
    "IPv4            yes, but no answer by UDP",
    "IPv6            yes, but no answer by UDP",
  ]);
  assert.match(lines[3] ?? "", /^NAT {13}not known: it takes two servers/);
  assert.deepEqual(lines.slice(4), [
    "own addresses   none",
    "home relay      none",
    "captive portal  yes: open a web page first",
  ]);
});

test("the report as JSON has addresses as text", () => {
  const json = JSON.parse(netReportJson(home, own));
  assert.deepEqual(json.ownAddresses, ["192.168.1.5:41641", "203.0.113.7:41641"]);
  assert.deepEqual(json.publicAddresses, ["203.0.113.7:41641"]);
  assert.deepEqual(json.ipv4.publicAddresses, ["203.0.113.7:41641"]);
  assert.equal(json.natMapping, "endpoint-independent");
  assert.deepEqual(json.relays[2], { type: "answered", url: near, latencyMs: 12.34 });
  assert.deepEqual(json.observers[0], {
    kind: "stun",
    server: "stun.example:3478",
    family: 4,
    type: "answered",
    latencyMs: 15.6,
    address: "203.0.113.7:41641",
  });
  assert.equal(json.observers[2].error, "not found");
});
