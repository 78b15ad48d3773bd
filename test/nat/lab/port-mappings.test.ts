import assert from "node:assert/strict";
import { test } from "node:test";
import { planAddresses } from "./address-plan.ts";
import { planPortMappings } from "./port-mappings.ts";
import type { Topology } from "./topology.ts";

const double: Topology = {
  routers: { home: { behind: "carrier" }, carrier: {} },
  hosts: { a: { at: "home" }, b: { at: "internet" } },
};

test("a host on the internet is seen under its own address", () => {
  assert.deepEqual(planPortMappings(double).hosts.b, ["198.51.100.51:4433"]);
});

test("each router on the way out translates what the one before has made", () => {
  const { routers, hosts } = planPortMappings(double);
  assert.deepEqual(hosts.a, ["198.51.100.11:40000"]);
  assert.deepEqual(routers, {
    home: [
      {
        inside: "192.168.10.50",
        insidePort: 4433,
        outside: "100.64.11.10",
        outsidePort: 40000,
      },
    ],
    carrier: [
      {
        inside: "100.64.11.10",
        insidePort: 40000,
        outside: "198.51.100.11",
        outsidePort: 40000,
      },
    ],
  });
});

test("a router that forgets gives out other ports", () => {
  assert.deepEqual(planPortMappings(double, { carrier: 1 }).hosts.a, ["198.51.100.11:40010"]);
  const { home, carrier } = planPortMappings(double, { home: 2 }).routers;
  assert.equal(home?.[0]?.outsidePort, 40020);
  assert.equal(carrier?.[0]?.insidePort, 40020);
});

test("behind a router that maps by destination or blocks UDP there is no address to tell", () => {
  for (const router of [{ mapping: "address-and-port-dependent" as const }, { udp: false }]) {
    const { routers, hosts } = planPortMappings({
      routers: { home: router },
      hosts: { a: { at: "home" }, b: { at: "internet" } },
    });
    assert.deepEqual(hosts.a, [undefined]);
    assert.deepEqual(routers, {});
  }
});

test("two hosts behind one router get ports of their own, and a host that moves has an address in each place", () => {
  const { hosts } = planPortMappings({
    routers: { home: {}, mobile: {} },
    hosts: { a: { at: "home", movesTo: "mobile" }, b: { at: "home" } },
  });
  assert.deepEqual(hosts.a, ["198.51.100.10:40000", "198.51.100.11:40000"]);
  assert.deepEqual(hosts.b, ["198.51.100.10:41000"]);
});

test("a topology that names a router which is not there is refused", () => {
  assert.throws(
    () => planAddresses({ hosts: { a: { at: "hom" }, b: { at: "internet" } } }),
    new RangeError("no router hom in the topology"),
  );
});
