import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSocketAddress, parseSocketAddress } from "../base/socket-address.ts";
import { type AddressSources, candidateAddresses, maxOwnAddresses } from "./candidate-addresses.ts";
import type { InterfaceAddress } from "./network.ts";

interface Given extends Partial<Pick<AddressSources, "natMapping">> {
  readonly bound?: readonly string[];
  readonly hosts?: readonly string[];
  /** What each of several observers says. */
  readonly seen?: readonly string[];
  readonly mapped?: string;
  readonly configured?: readonly string[];
}

function candidates(given: Given): string[] {
  const { bound = ["0.0.0.0:7", "[::]:8"], hosts = [], seen = [], configured = [] } = given;
  return candidateAddresses({
    bound: bound.map(parseSocketAddress),
    interfaces: hosts.map(onEth0),
    observations: seen.map((text, index) => ({
      observer: parseSocketAddress(`192.0.2.${index + 1}:3478`),
      address: parseSocketAddress(text),
    })),
    natMapping: given.natMapping ?? "unknown",
    mapped: given.mapped === undefined ? undefined : parseSocketAddress(given.mapped),
    configured: configured.map(parseSocketAddress),
  }).map(({ type, address }) => `${type} ${formatSocketAddress(address)}`);
}

function onEth0(host: string): InterfaceAddress {
  const family = host.includes(":") ? 6 : 4;
  return { interfaceName: "eth0", host, family, internal: false };
}

test("candidateAddresses joins all sources, each address once", () => {
  assert.deepEqual(
    candidates({
      hosts: ["10.0.0.1", "2001:db8::1"],
      seen: ["198.51.100.1:9", "198.51.100.1:9", "[2001:db8::1]:8"],
      mapped: "198.51.100.1:77",
      configured: ["203.0.113.5:0", "203.0.113.5:5", "198.51.100.1:77"],
    }),
    [
      "configured 203.0.113.5:7",
      "configured 203.0.113.5:5",
      "configured 198.51.100.1:77",
      "observed 198.51.100.1:9",
      "observed [2001:db8::1]:8",
      "interface 10.0.0.1:7",
    ],
  );
});

test("candidateAddresses predicts our own port where the NAT gives each destination another", () => {
  const seen = ["198.51.100.1:9", "198.51.100.1:10", "198.51.100.1:11"];
  assert.deepEqual(candidates({ seen, natMapping: "endpoint-dependent" }), [
    "observed 198.51.100.1:9",
    "observed 198.51.100.1:10",
    "predicted 198.51.100.1:7",
  ]);
  assert.deepEqual(candidates({ seen: ["198.51.100.1:9"], natMapping: "endpoint-independent" }), [
    "observed 198.51.100.1:9",
  ]);
});

test("candidateAddresses offers two observed addresses a family: those on which most agree", () => {
  const lies = ["203.0.113.1:1", "203.0.113.2:1", "203.0.113.3:1"];
  assert.deepEqual(candidates({ seen: [...lies, "198.51.100.1:9", "198.51.100.1:9"] }), [
    "observed 198.51.100.1:9",
    "observed 203.0.113.1:1",
  ]);
});

test("candidateAddresses leaves out what a gateway cannot have mapped and nobody can dial", () => {
  for (const mapped of [
    "0.0.0.0:9",
    "127.0.0.1:9",
    "224.0.0.1:9",
    "255.255.255.255:9",
    "1.2.3.4:0",
  ]) {
    assert.deepEqual(candidates({ mapped }), [], mapped);
  }
  assert.deepEqual(candidates({ configured: ["0.0.0.0:9"] }), []);
});

test("candidateAddresses never crowds out observed addresses with those of interfaces", () => {
  const hosts = Array.from({ length: 100 }, (_, index) => `172.16.${index}.1`);
  const offered = candidates({ hosts, seen: ["198.51.100.1:9"] });
  assert.equal(offered.length, maxOwnAddresses);
  assert.equal(offered[0], "observed 198.51.100.1:9");
});
