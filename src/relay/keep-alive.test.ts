import assert from "node:assert/strict";
import { test } from "node:test";
import { KeepAlive } from "./keep-alive.ts";

const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

test("KeepAlive asks for a ping after silence, and gives up when nothing comes", () => {
  const keepAlive = new KeepAlive({ idleMs: 15_000 }, 100);
  keepAlive.handleSent(200);
  assert.equal(keepAlive.nextTimeout(), 15_100);
  assert.equal(keepAlive.handleTimeout(15_099), undefined);
  assert.equal(keepAlive.handleTimeout(15_100), "ping");
  keepAlive.handlePing(data, 15_100);
  assert.equal(keepAlive.nextTimeout(), 20_100);
  assert.equal(keepAlive.handleTimeout(20_100), "give-up");
});

test("KeepAlive waits three round trips for a pong, between 0.5 and 5 s", () => {
  for (const [roundTrip, wait] of [
    [1, 500],
    [400, 1_200],
    [4_000, 5_000],
  ] as const) {
    const keepAlive = new KeepAlive({ idleMs: 15_000 }, 0);
    keepAlive.handlePing(data, 0);
    keepAlive.handleReceived(roundTrip);
    keepAlive.handlePong(Uint8Array.from(data), roundTrip);
    assert.equal(keepAlive.latencyMs, roundTrip);
    keepAlive.handlePing(data, 20_000);
    assert.equal(keepAlive.nextTimeout(), 20_000 + wait);
  }
});

test("KeepAlive takes a pong for another ping as a sign of life alone", () => {
  const keepAlive = new KeepAlive({ idleMs: 15_000 }, 0);
  keepAlive.handlePing(data, 0);
  keepAlive.handleReceived(10);
  keepAlive.handlePong(new Uint8Array(8), 10);
  assert.equal(keepAlive.latencyMs, undefined);
  assert.equal(keepAlive.nextTimeout(), 15_010);
});

test("KeepAlive asks earlier for a ping when something was sent that nothing followed", () => {
  const keepAlive = new KeepAlive({ idleMs: 15_000, unansweredMs: 3_000 }, 0);
  keepAlive.handleSent(1_000);
  keepAlive.handleSent(2_000);
  assert.equal(keepAlive.nextTimeout(), 4_000);
  keepAlive.handleReceived(3_000);
  assert.equal(keepAlive.nextTimeout(), 18_000);
});

test("KeepAlive shortens the wait for a probe, and never prolongs it", () => {
  const keepAlive = new KeepAlive({ idleMs: 15_000 }, 0);
  keepAlive.handlePing(data, 0);
  keepAlive.handlePing(data, 1_000, 2_000);
  assert.equal(keepAlive.nextTimeout(), 3_000);
  keepAlive.handlePing(data, 2_500, 2_000);
  assert.equal(keepAlive.nextTimeout(), 3_000);
});

test("F22: KeepAlive asks again instead of giving up when the process itself stood still", () => {
  const keepAlive = new KeepAlive({ idleMs: 15_000 }, 0);
  keepAlive.handlePing(data, 0);
  assert.equal(keepAlive.handleTimeout(600_000), "ping");
  keepAlive.handlePing(data, 600_000);
  assert.equal(keepAlive.nextTimeout(), 605_000);
  assert.equal(keepAlive.handleTimeout(605_500), "give-up");
});
