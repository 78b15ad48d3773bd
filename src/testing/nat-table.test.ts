import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { socketAddress } from "../base/socket-address.ts";
import { type NatBehaviour, NatTable } from "./nat-table.ts";

const inner = socketAddress("192.168.1.10", 5_000);
const one = socketAddress("203.0.113.1", 80);
const samePlace = socketAddress("203.0.113.1", 81);
const other = socketAddress("203.0.113.2", 80);

function table(behaviour: Partial<NatBehaviour>): NatTable {
  let state = 1;
  return new NatTable(
    {
      mapping: "endpoint-independent",
      filtering: "address-and-port-dependent",
      hairpinning: false,
      portPreservation: false,
      mappingTimeoutMs: 1_000,
      ...behaviour,
    },
    () => {
      state = (state * 16_807) % 2_147_483_647;
      return state / 2_147_483_647;
    },
  );
}

describe("NatTable", () => {
  const mappings = [
    ["endpoint-independent", true, true],
    ["address-dependent", true, false],
    ["address-and-port-dependent", false, false],
  ] as const;
  for (const [mapping, sameForPort, sameForHost] of mappings) {
    it(`maps ${mapping} (RFC 4787 §4.1)`, () => {
      const nat = table({ mapping });
      const port = nat.outward(inner, one, 0);
      assert.equal(nat.outward(inner, one, 1), port);
      assert.equal(nat.outward(inner, samePlace, 2) === port, sameForPort);
      assert.equal(nat.outward(inner, other, 3) === port, sameForHost);
    });
  }

  const filters = [
    ["endpoint-independent", true, true],
    ["address-dependent", true, false],
    ["address-and-port-dependent", false, false],
  ] as const;
  for (const [filtering, samePlaceIn, otherIn] of filters) {
    it(`filters ${filtering} (RFC 4787 §5)`, () => {
      const nat = table({ filtering });
      const port = nat.outward(inner, one, 0) ?? 0;
      assert.deepEqual(nat.inward(port, one, 1), inner);
      assert.equal(nat.inward(port, samePlace, 2) !== undefined, samePlaceIn);
      assert.equal(nat.inward(port, other, 3) !== undefined, otherIn);
    });
  }

  it("lets nobody in where nothing was sent from", () => {
    assert.equal(table({}).inward(5_000, one, 0), undefined);
  });

  it("keeps the port of the inside where it is free (RFC 4787 §4.2.1)", () => {
    const nat = table({ portPreservation: true });
    assert.equal(nat.outward(inner, one, 0), 5_000);
    assert.notEqual(nat.outward({ ...inner, host: "192.168.1.11" }, one, 0), 5_000);
  });

  it("forgets what was not used, and what is used stays (RFC 4787 §4.3)", () => {
    const nat = table({});
    const port = nat.outward(inner, one, 0) ?? 0;
    assert.deepEqual(nat.inward(port, one, 1_000), inner);
    assert.equal(nat.outward(inner, one, 2_000), port);
    assert.equal(nat.inward(port, one, 3_001), undefined);
    assert.notEqual(nat.outward(inner, one, 3_002), port);
  });

  it("forgets whom it was sent to, each by itself", () => {
    const nat = table({});
    const port = nat.outward(inner, one, 0) ?? 0;
    nat.outward(inner, other, 900);
    assert.equal(nat.inward(port, one, 1_001), undefined);
    assert.deepEqual(nat.inward(port, other, 1_001), inner);
  });

  it("forgets all at once", () => {
    const nat = table({});
    const port = nat.outward(inner, one, 0) ?? 0;
    nat.clear();
    assert.equal(nat.inward(port, one, 1), undefined);
  });

  it("does not grow with those who are gone", () => {
    const nat = table({ mapping: "address-and-port-dependent" });
    for (let port = 1; port < 5_000; port += 1) {
      nat.outward(inner, { ...one, port }, port * 10);
    }
    assert.ok(nat.size <= 512, `${nat.size}`);
  });
});
