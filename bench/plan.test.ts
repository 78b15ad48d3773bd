import assert from "node:assert/strict";
import { test } from "node:test";
import type { Contestant } from "./contestant.ts";
import { makePlan } from "./plan.ts";
import { workloads } from "./workloads.ts";

const unused = () => Promise.reject(new Error("not played"));
const able: Contestant = { title: "able", carries: "calls", serve: unused, open: unused };
const alone: Contestant = { ...able, lacks: { network: "it has no network" } };

test("everybody plays what they can, and the rest is said with the reason", () => {
  const entrants = [
    { name: "able", contestant: able },
    { name: "alone", contestant: alone },
    { name: "absent", absent: "not for this machine" },
  ];
  const { steps, gaps } = makePlan(entrants, workloads, undefined);
  assert.deepEqual(
    steps.map(({ players }) => players),
    workloads.map(({ needs }) => (needs.includes("network") ? ["able"] : ["able", "alone"])),
  );
  assert.deepEqual(gaps[0], { contestant: "absent", reason: "not for this machine" });
  assert.deepEqual(
    gaps.slice(1).map(({ contestant, workload, reason }) => [contestant, workload, reason]),
    workloads
      .filter(({ needs }) => needs.includes("network"))
      .map(({ name }) => ["alone", name, "it has no network"]),
  );
});

test("what needs a network of its own is left out where there is none", () => {
  const { steps, gaps } = makePlan([{ name: "able", contestant: able }], workloads, "needs Linux");
  const isolated = workloads.filter(({ processes }) => processes === "isolated");
  assert.equal(steps.length, workloads.length - isolated.length);
  assert.deepEqual(
    gaps,
    isolated.map(({ name }) => ({ contestant: "able", workload: name, reason: "needs Linux" })),
  );
});

test("no two workloads have one name, and no two metrics of a workload one name and unit", () => {
  assert.equal(new Set(workloads.map(({ name }) => name)).size, workloads.length);
  for (const { metrics } of workloads) {
    assert.equal(new Set(metrics.map(({ name, unit }) => name + unit)).size, metrics.length);
  }
});
