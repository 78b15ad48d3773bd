import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualPlatform, settled } from "../../test/support/manual-platform.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { formatSocketAddress, parseSocketAddress } from "../base/socket-address.ts";
import type { OwnAddress } from "./candidate-addresses.ts";
import type { InterfaceAddress } from "./network.ts";
import { type ObserveOptions, OwnAddresses, type OwnAddressesOptions } from "./own-addresses.ts";

interface Check extends ObserveOptions {
  readonly over: Deferred<void>;
}

/** An endpoint at port 7 of 10.0.0.1, and a network around it that answers when the test says so. */
function keep(options: Partial<OwnAddressesOptions> = {}) {
  const platform = new ManualPlatform();
  const checks: Check[] = [];
  const changes: string[][] = [];
  const host = { interfaces: [onEth0("10.0.0.1")] };
  const own = new OwnAddresses({
    platform,
    bound: () => [parseSocketAddress("0.0.0.0:7"), parseSocketAddress("[::]:7")],
    interfaces: () => host.interfaces,
    observe: (check) => {
      const over = deferred<void>();
      checks.push({ ...check, over });
      return over.promise;
    },
    changed: (addresses) => changes.push(texts(addresses)),
    ...options,
  });
  return {
    platform,
    own,
    checks,
    host,
    /** The sets that were told since the last time. */
    told: () => changes.splice(0),
    current: () => texts(own.current),
    /** Begins the next check, hands it what observers say, and ends it. */
    check: async (seen: Readonly<Record<string, string>>): Promise<void> => {
      const before = checks.length;
      for (let waited = 0; checks.length === before && waited < 30; waited += 1) {
        platform.advance(waited === 0 ? 0 : 1_000);
      }
      const check = checks.at(-1);
      assert.ok(check !== undefined && checks.length === before + 1);
      for (const [observer, address] of Object.entries(seen)) {
        check.observed(observation(observer, address));
      }
      check.over.resolve();
      await settled();
    },
  };
}

function observation(observer: string, address: string) {
  return { observer: parseSocketAddress(observer), address: parseSocketAddress(address) };
}

function texts(addresses: readonly OwnAddress[]): string[] {
  return addresses.map(({ address }) => formatSocketAddress(address));
}

function onEth0(host: string): InterfaceAddress {
  return { interfaceName: "eth0", host, family: host.includes(":") ? 6 : 4, internal: false };
}

const a = "192.0.2.1:3478";
const b = "192.0.2.2:3478";

test("OwnAddresses knows the interfaces' addresses before anybody was asked, and does nothing by itself then", () => {
  const { platform, own, current, told } = keep();
  assert.deepEqual(current(), ["10.0.0.1:7"]);
  assert.equal(platform.timers, 0);
  assert.deepEqual(told(), []);
  assert.equal(own.natMapping(4), "unknown");
});

test("OwnAddresses tells of another set once, and of the same set never", async () => {
  const { own, told, check } = keep();
  own.start();
  await check({ [a]: "198.51.100.1:9", [b]: "198.51.100.1:9" });
  assert.deepEqual(told(), [["198.51.100.1:9", "10.0.0.1:7"]]);
  assert.equal(own.natMapping(4), "endpoint-independent");
  await check({ [b]: "198.51.100.1:9", [a]: "198.51.100.1:9" });
  await check({});
  assert.deepEqual(told(), []);
  own.stop();
});

test("OwnAddresses offers an observed address at once, and IPv6 beside IPv4", async () => {
  const { platform, own, checks, told, current } = keep();
  own.start();
  platform.advance(0);
  checks[0]?.observed(observation(a, "198.51.100.1:9"));
  assert.equal(told().length, 1);
  checks[0]?.observed(observation("[2001:db8::1]:1", "[2001:db8::2]:7"));
  assert.deepEqual(current(), ["198.51.100.1:9", "[2001:db8::2]:7", "10.0.0.1:7"]);
  own.stop();
});

test("OwnAddresses predicts the local port when a check has found that the mapping depends on the destination", async () => {
  const { own, current, check } = keep();
  own.start();
  await check({ [a]: "198.51.100.1:9", [b]: "198.51.100.1:10" });
  assert.equal(own.natMapping(4), "endpoint-dependent");
  assert.deepEqual(current(), [
    "198.51.100.1:9",
    "198.51.100.1:10",
    "198.51.100.1:7",
    "10.0.0.1:7",
  ]);
  await check({ [a]: "198.51.100.1:9" });
  assert.equal(
    own.natMapping(4),
    "endpoint-dependent",
    "one answer is not enough for another view",
  );
  await check({ [a]: "198.51.100.1:9", [b]: "198.51.100.1:9" });
  assert.equal(own.natMapping(4), "endpoint-independent");
  assert.deepEqual(current(), ["198.51.100.1:9", "10.0.0.1:7"]);
  own.stop();
});

test("OwnAddresses does not take a NAT that has changed its mapping for one of the other kind", async () => {
  const { own, platform, checks, check, told } = keep();
  own.start();
  await check({ [a]: "198.51.100.1:9", [b]: "198.51.100.1:9" });
  told();
  platform.advance(20_500);
  checks.at(-1)?.observed(observation(a, "198.51.100.1:20"));
  checks.at(-1)?.observed(observation(b, "198.51.100.1:20"));
  checks.at(-1)?.over.resolve();
  await settled();
  assert.equal(own.natMapping(4), "endpoint-independent");
  assert.deepEqual(told(), [
    ["198.51.100.1:9", "198.51.100.1:20", "10.0.0.1:7"],
    ["198.51.100.1:20", "10.0.0.1:7"],
  ]);
  own.stop();
});

test("OwnAddresses forgets an observation that nobody repeats, after some checks", async () => {
  const { own, current, check } = keep();
  own.start();
  await check({ [a]: "198.51.100.1:9" });
  await check({});
  await check({});
  assert.deepEqual(
    current(),
    ["198.51.100.1:9", "10.0.0.1:7"],
    "lost answers do not count at once",
  );
  await check({});
  await check({});
  assert.deepEqual(current(), ["10.0.0.1:7"]);
  assert.equal(own.natMapping(4), "unknown");
  own.stop();
});

test("OwnAddresses asks everybody at once when the network has changed, and forgets the old one when they have answered", async () => {
  const { platform, own, checks, host, current, check } = keep();
  own.start();
  await check({ [a]: "198.51.100.1:9", [b]: "198.51.100.1:10" });
  platform.advance(5_000);
  host.interfaces = [onEth0("10.9.9.9")];
  own.networkChanged({ major: true });
  assert.deepEqual(current().slice(-1), ["10.9.9.9:7"]);
  platform.advance(0);
  assert.equal(checks.length, 2);
  assert.equal(checks[1]?.full, true);
  checks[1]?.observed(observation(a, "203.0.113.9:1"));
  assert.ok(current().includes("198.51.100.1:10"), "not before the check is over");
  checks[1]?.over.resolve();
  await settled();
  assert.deepEqual(current(), ["203.0.113.9:1", "10.9.9.9:7"]);
  assert.equal(own.natMapping(4), "unknown", "what was known of the other network is no more");
  own.stop();
});

test("OwnAddresses asks again, but forgets nothing, when the host has got one more address", async () => {
  const { platform, own, checks, host, current, check } = keep();
  own.start();
  await check({ [a]: "198.51.100.1:9" });
  platform.advance(5_000);
  host.interfaces = [...host.interfaces, onEth0("2001:db8::1")];
  own.networkChanged({ major: false });
  platform.advance(0);
  assert.equal(checks[1]?.full, false);
  checks[1]?.over.resolve();
  await settled();
  assert.deepEqual(current(), ["198.51.100.1:9", "10.0.0.1:7", "[2001:db8::1]:7"]);
  own.stop();
});

test("OwnAddresses takes in what a gateway maps and what the user configures", () => {
  const { own, current, told } = keep({ configured: [parseSocketAddress("203.0.113.5:0")] });
  own.start();
  assert.deepEqual(current(), ["203.0.113.5:7", "10.0.0.1:7"]);
  own.setMapped(parseSocketAddress("198.51.100.1:77"));
  own.setMapped(parseSocketAddress("198.51.100.1:77"));
  own.setMapped(undefined);
  assert.deepEqual(told(), [
    ["203.0.113.5:7", "198.51.100.1:77", "10.0.0.1:7"],
    ["203.0.113.5:7", "10.0.0.1:7"],
  ]);
  own.stop();
});

test("OwnAddresses without anybody to ask follows the interfaces and runs no timers", () => {
  const platform = new ManualPlatform();
  let hosts = ["10.0.0.1"];
  let changes = 0;
  const own = new OwnAddresses({
    platform,
    bound: () => [parseSocketAddress("0.0.0.0:7")],
    interfaces: () => hosts.map(onEth0),
    changed: () => {
      changes += 1;
    },
  });
  own.start();
  hosts = ["10.0.0.2"];
  own.networkChanged({ major: true });
  assert.equal(changes, 1);
  assert.equal(platform.timers, 0);
  own.stop();
});

test("a hostile observer cannot make OwnAddresses offer nonsense, many addresses or changes without end", async () => {
  const { platform, own, checks, current, told, check } = keep();
  own.start();
  platform.advance(0);
  const [first] = checks;
  for (const address of [
    "127.0.0.1:9",
    "0.0.0.0:9",
    "224.0.0.251:5353",
    "192.0.2.1:0",
    "[::1]:9",
  ]) {
    first?.observed(observation(a, address));
  }
  assert.deepEqual(told(), []);
  for (let port = 1; port <= 10_000; port += 1) {
    first?.observed(observation(a, `203.0.113.1:${port}`));
  }
  assert.ok(told().length <= 17);
  assert.equal(current().length, 2);
  for (let host = 1; host <= 250; host += 1) {
    own.observed(observation(`192.0.2.${host}:1`, `203.0.113.${host}:1`));
  }
  assert.equal(current().length, 3);
  first?.over.resolve();
  await settled();
  // A full check gives it another chance.
  await check({ [a]: "198.51.100.1:9", [b]: "198.51.100.1:9" });
  own.networkChanged({ major: true });
  await check({ [a]: "198.51.100.1:9", [b]: "198.51.100.1:9" });
  assert.deepEqual(current(), ["198.51.100.1:9", "10.0.0.1:7"]);
  own.stop();
});

test("F1: a stopped OwnAddresses tells nothing more, whatever still arrives", () => {
  const { platform, own, checks, told } = keep();
  own.start();
  platform.advance(0);
  own.stop();
  own.stop();
  checks[0]?.observed(observation(a, "198.51.100.1:9"));
  checks[0]?.over.reject(new Error("socket closed"));
  own.setMapped(parseSocketAddress("198.51.100.1:77"));
  own.networkChanged({ major: true });
  assert.deepEqual(told(), []);
  assert.equal(platform.timers, 0);
});
