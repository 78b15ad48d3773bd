import assert from "node:assert/strict";
import { test } from "node:test";
import { RedialPlan } from "./redial-plan.ts";

const backoff = { initialMs: 100, maxMs: 1_000, jitter: 0.5 };

/** Fails the dial that is under way and asks again at once; the wait in milliseconds. */
function waitAfterFailure(plan: RedialPlan, now: number, random = 0): number {
  plan.dialFailed(now, random);
  const step = plan.wanted(now);
  return step.type === "wait" ? step.untilMs - now : 0;
}

test("dials when the first call wants a connection", () => {
  const plan = new RedialPlan(backoff);
  assert.equal(plan.state.type, "idle");
  assert.deepEqual(plan.wanted(0), { type: "dial" });
  assert.equal(plan.state.type, "connecting");
});

test("dials once however many calls want a connection", () => {
  const plan = new RedialPlan(backoff);
  plan.wanted(0);
  assert.deepEqual(plan.wanted(1), { type: "none" });
  plan.connected();
  assert.deepEqual(plan.wanted(2), { type: "none" });
});

test("waits twice as long after each failure, up to the limit", () => {
  const plan = new RedialPlan(backoff);
  plan.wanted(0);
  const waits: number[] = [];
  for (let i = 0; i < 6; i++) {
    waits.push(waitAfterFailure(plan, 0));
    assert.deepEqual(plan.timeUp(), { type: "dial" });
  }
  assert.deepEqual(waits, [100, 200, 400, 800, 1_000, 1_000]);
});

test("leaves the part of the wait to chance that the jitter says, and never waits longer than the limit", () => {
  for (const [random, expected] of [
    [0, 100],
    [0.5, 75],
    [0.999, 50.05],
  ] as const) {
    const plan = new RedialPlan(backoff);
    plan.wanted(0);
    assert.ok(Math.abs(waitAfterFailure(plan, 0, random) - expected) < 1e-9);
  }
});

test("does not overflow after very many failures", () => {
  const plan = new RedialPlan(backoff);
  plan.wanted(0);
  for (let i = 0; i < 5_000; i++) {
    assert.ok(waitAfterFailure(plan, 0) <= 1_000);
    plan.timeUp();
  }
});

test("dials at once when the wait is over before anybody asks", () => {
  const plan = new RedialPlan(backoff);
  plan.wanted(0);
  plan.dialFailed(0, 0);
  assert.deepEqual(plan.wanted(100), { type: "dial" });
});

test("forgets the wait when nobody wants a connection any more, but not its end", () => {
  const plan = new RedialPlan(backoff);
  plan.wanted(0);
  plan.dialFailed(0, 0);
  plan.wanted(10);
  plan.unwanted();
  assert.equal(plan.state.type, "idle");
  assert.deepEqual(plan.timeUp(), { type: "none" });
  assert.deepEqual(plan.wanted(20), { type: "wait", untilMs: 100 });
});

test("goes on dialing when nobody wants the connection any more", () => {
  const plan = new RedialPlan(backoff);
  plan.wanted(0);
  plan.unwanted();
  assert.equal(plan.state.type, "connecting");
});

test("redials at once after losing a connection on which the peer had answered", () => {
  const plan = new RedialPlan(backoff);
  plan.wanted(0);
  plan.dialFailed(0, 0);
  plan.wanted(100);
  plan.connected();
  plan.proven();
  assert.equal(plan.failures, 0);
  plan.lost(200, 0);
  assert.deepEqual(plan.wanted(200), { type: "dial" });
});

test("F26: waits ever longer when connections are lost before the peer has answered anything", () => {
  const plan = new RedialPlan(backoff);
  plan.wanted(0);
  const waits: number[] = [];
  for (let i = 0; i < 5; i++) {
    plan.connected();
    plan.lost(0, 0);
    const step = plan.wanted(0);
    waits.push(step.type === "wait" ? step.untilMs : 0);
    plan.timeUp();
  }
  assert.deepEqual(waits, [100, 200, 400, 800, 1_000]);
});

test("does not hold a dial that was called off against the peer", () => {
  const plan = new RedialPlan(backoff);
  plan.wanted(0);
  plan.dialAborted();
  assert.deepEqual(plan.wanted(1), { type: "dial" });
});
