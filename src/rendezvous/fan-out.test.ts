import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualPlatform } from "../testing/virtual-platform.ts";
import { FanOut } from "./fan-out.ts";

/** Makes this much time pass. */
function pass(platform: VirtualPlatform, ms: number): void {
  platform.run(() => false, ms);
}

test("the first change is told at once, those after it together, and no more often than there may be messages", () => {
  const platform = new VirtualPlatform(1);
  const watchers = 50;
  const fanOut = new FanOut(platform, { messagesPerSecond: 500, watchers: () => watchers });
  const told: number[] = [];
  const watch = (): void => {
    fanOut.wait(() => {
      told.push(platform.now());
      watch();
    }, false);
  };
  for (let index = 0; index < watchers; index += 1) {
    watch();
  }
  fanOut.changed();
  assert.deepEqual(told, Array(watchers).fill(0));
  for (let change = 0; change < 100; change += 1) {
    fanOut.changed();
    pass(platform, 10);
  }
  pass(platform, 1_000);
  const rounds = [...new Set(told)];
  assert.equal(told.length, rounds.length * watchers, "each round tells all");
  for (const [index, at] of rounds.entries()) {
    assert.equal(at, index * 100, "50 messages at 500 in a second");
  }
  assert.equal(rounds.length, 11, "the last one after the last change");
  fanOut.changed();
  assert.equal(told.at(-1), platform.now(), "at once after a quiet time");
});

test("many watchers are told in several turns, and a change meanwhile is told to all", () => {
  const platform = new VirtualPlatform(1);
  let version = 1;
  const fanOut = new FanOut(platform, { messagesPerSecond: 1_000_000, watchers: () => 1_000 });
  const known = new Map<number, number>();
  const watch = (index: number): void => {
    fanOut.wait(
      () => {
        known.set(index, version);
        watch(index);
      },
      (known.get(index) ?? 1) !== version,
    );
  };
  for (let index = 0; index < 1_000; index += 1) {
    watch(index);
  }
  version = 2;
  fanOut.changed();
  assert.ok(known.size < 1_000, "others have had their turn");
  version = 3;
  fanOut.changed();
  pass(platform, 100);
  assert.deepEqual(new Set(known.values()), new Set([3]));
  assert.equal(known.size, 1_000);
});

test("who is behind when it begins to wait is told without another change, and who has left is not", () => {
  const platform = new VirtualPlatform(1);
  const fanOut = new FanOut(platform, { messagesPerSecond: 1, watchers: () => 1 });
  let told = 0;
  const tell = (): void => {
    told += 1;
  };
  fanOut.wait(tell, true);
  assert.equal(told, 1);
  const leave = fanOut.wait(tell, true);
  leave();
  pass(platform, 10_000);
  assert.equal(told, 1);
  fanOut.wait(tell, true);
  assert.equal(told, 2, "a round for nobody was none");
  fanOut.wait(tell, true);
  fanOut.close();
  pass(platform, 10_000);
  assert.equal(told, 2);
});
