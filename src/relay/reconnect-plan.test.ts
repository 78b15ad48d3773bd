import assert from "node:assert/strict";
import { test } from "node:test";
import { ReconnectPlan } from "./reconnect-plan.ts";

test("ReconnectPlan doubles the wait up to 16 s, of which half is chance", () => {
  const plan = new ReconnectPlan();
  const waits: number[] = [];
  for (let index = 0; index < 13; index += 1) {
    assert.equal(plan.attempt, index + 1);
    waits.push(plan.handleLost("unreachable", index, 1));
  }
  assert.deepEqual(waits.slice(0, 3), [10, 20, 40]);
  assert.deepEqual(waits.slice(-2), [16_000, 16_000]);
  assert.equal(plan.handleLost("unreachable", 0, 0), 8_000);
});

test("ReconnectPlan begins anew after a connection that was good for something", () => {
  for (const [frame, lastedMs, wait, attempt] of [
    [true, 1_000, 10, 1],
    [true, 999, 80, 5],
    [false, 60_000, 80, 5],
  ] as const) {
    const plan = new ReconnectPlan();
    for (let index = 0; index < 3; index += 1) {
      plan.handleLost("unreachable", 0, 1);
    }
    plan.handleConnected(100);
    if (frame) {
      plan.handleFrame();
    }
    assert.equal(plan.handleLost("lost", 100 + lastedMs, 1), wait);
    assert.equal(plan.attempt, attempt);
  }
});

test("ReconnectPlan asks a relay that denies us every 5 to 60 s", () => {
  const plan = new ReconnectPlan();
  const waits = Array.from({ length: 6 }, () => plan.handleLost("denied", 0, 1));
  assert.deepEqual(waits, [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
});

test("ReconnectPlan comes back when a restarting relay says, tries hard for a while, then as ever", () => {
  const plan = new ReconnectPlan();
  plan.handleConnected(0);
  plan.handleFrame();
  plan.handleRestarting(2_000, 10_000, 5_000);
  assert.equal(plan.handleLost("lost", 5_500, 0), 1_500 + 5);
  for (let index = 0; index < 10; index += 1) {
    assert.ok(plan.handleLost("unreachable", 8_000, 1) <= 500);
  }
  assert.ok(plan.handleLost("unreachable", 17_001, 1) > 500);
});

test("ReconnectPlan spreads clients of a restarting relay, and lets none wait longer than 2 min", () => {
  for (const [random, wait] of [
    [0, 1_000 + 5],
    [0.5, 1_500 + 7.5],
  ] as const) {
    const plan = new ReconnectPlan();
    plan.handleConnected(0);
    plan.handleRestarting(1_000, 1_000, 0);
    assert.equal(plan.handleLost("lost", 0, random), wait);
  }
  const plan = new ReconnectPlan();
  plan.handleConnected(0);
  plan.handleRestarting(0xffff_ffff, 0xffff_ffff, 0);
  assert.ok(plan.handleLost("lost", 0, 1) <= 120_010);
});
