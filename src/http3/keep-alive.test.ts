import assert from "node:assert/strict";
import { test } from "node:test";
import { KeepAlive } from "./keep-alive.ts";

function start(options: { intervalMs: number; always: boolean }) {
  const set: number[] = [];
  return { set, keepAlive: new KeepAlive(options, (intervalMs) => set.push(intervalMs)) };
}

test("is off at first, on while requests are open and for an interval longer", () => {
  const { set, keepAlive } = start({ intervalMs: 5_000, always: false });
  assert.deepEqual(set, [0]);
  keepAlive.activeChanged(true, 0);
  assert.deepEqual(set, [0, 5_000]);
  assert.equal(keepAlive.nextTimeout(), undefined);
  keepAlive.activeChanged(false, 1_000);
  assert.equal(keepAlive.nextTimeout(), 6_000);
  keepAlive.handleTimeout(5_999);
  assert.deepEqual(set, [0, 5_000]);
  keepAlive.handleTimeout(6_000);
  assert.deepEqual(set, [0, 5_000, 0]);
});

test("one request after another does not switch it on and off", () => {
  const { set, keepAlive } = start({ intervalMs: 5_000, always: false });
  for (let now = 0; now < 100_000; now += 1_000) {
    keepAlive.activeChanged(true, now);
    keepAlive.handleTimeout(now);
    keepAlive.activeChanged(false, now + 1);
  }
  assert.deepEqual(set, [0, 5_000]);
});

test("F4: can go on while no request is open, or never be on", () => {
  const always = start({ intervalMs: 5_000, always: true });
  always.keepAlive.activeChanged(true, 0);
  always.keepAlive.activeChanged(false, 1);
  always.keepAlive.handleTimeout(1_000_000);
  assert.deepEqual(always.set, [5_000]);
  const never = start({ intervalMs: 0, always: false });
  never.keepAlive.activeChanged(true, 0);
  assert.deepEqual(never.set, [0]);
});
