import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HostPlatform } from "./host-platform.ts";
import { VirtualPlatform } from "./virtual-platform.ts";

function start() {
  const world = new VirtualPlatform(1);
  const host = new HostPlatform(world);
  const seen: string[] = [];
  const note = (name: string) => () => seen.push(`${name}@${host.now()}`);
  return { world, host, seen, note };
}

describe("HostPlatform", () => {
  it("is as the world as long as nothing stands still", () => {
    const { world, host, seen, note } = start();
    host.setTimer(20, note("b"));
    host.setTimer(10, note("a"));
    host.clearTimer(host.setTimer(5, note("cleared")));
    host.soon(note("soon"));
    world.runFor(100);
    assert.deepEqual(seen, ["soon@0", "a@10", "b@20"]);
    assert.equal(host.now(), 100);
    assert.equal(host.unixMs(), world.unixMs());
  });

  it("frozen: clocks go on, timers and events wait, timers come first", () => {
    const { world, host, seen, note } = start();
    const before = host.unixMs();
    host.freeze();
    host.setTimer(10, note("timer"));
    const cleared = host.setTimer(10, note("cleared"));
    host.event(note("event"));
    world.runFor(1_000);
    assert.deepEqual(seen, []);
    assert.equal(host.now(), 1_000);
    assert.equal(host.unixMs() - before, 1_000);
    host.clearTimer(cleared);
    host.resume();
    world.runFor(0);
    assert.deepEqual(seen, ["timer@1000", "event@1000"]);
  });

  it("sleeping: the monotonic clock stands still, so timers come later by the sleep", () => {
    const { world, host, seen, note } = start();
    const before = host.unixMs();
    host.setTimer(50, note("timer"));
    host.setTimer(2_000, note("late"));
    world.runFor(20);
    host.sleep();
    world.runFor(1_000);
    assert.equal(host.now(), 20);
    assert.equal(host.unixMs() - before, 1_020);
    host.resume();
    world.runFor(29);
    assert.deepEqual(seen, []);
    world.runFor(2_000);
    assert.deepEqual(seen, ["timer@50", "late@2000"]);
  });

  it("falls asleep when it was frozen, and again and again", () => {
    const { world, host, seen, note } = start();
    host.setTimer(300, note("timer"));
    for (let round = 0; round < 3; round += 1) {
      world.runFor(50);
      host.freeze();
      world.runFor(50);
      host.sleep();
      world.runFor(1_000);
      host.resume();
    }
    assert.equal(host.now(), 300);
    world.runFor(1);
    assert.deepEqual(seen, ["timer@300"]);
  });
});
