import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { VirtualPlatform } from "./virtual-platform.ts";

describe("VirtualPlatform", () => {
  it("runs timers in the order of their time, and of their making where that is equal", () => {
    const platform = new VirtualPlatform(1);
    const order: string[] = [];
    const note = (name: string) => () => order.push(`${name}@${platform.now()}`);
    platform.setTimer(20, note("c"));
    platform.setTimer(10, note("a"));
    platform.setTimer(10, note("b"));
    platform.setTimer(0, note("now"));
    assert.equal(
      platform.run(() => order.length === 4),
      true,
    );
    assert.deepEqual(order, ["now@0", "a@10", "b@10", "c@20"]);
  });

  it("runs what wants to be soon after all that is due, and before time moves on", () => {
    const platform = new VirtualPlatform(1);
    const order: string[] = [];
    platform.setTimer(5, () => {
      order.push("first");
      platform.soon(() => order.push(`soon@${platform.now()}`));
    });
    platform.setTimer(5, () => order.push("second"));
    platform.setTimer(6, () => order.push("later"));
    platform.run(() => order.length === 4);
    assert.deepEqual(order, ["first", "second", "soon@5", "later"]);
  });

  it("does not run what was cleared", () => {
    const platform = new VirtualPlatform(1);
    const timer = platform.setTimer(5, () => assert.fail("cleared"));
    platform.clearTimer(timer);
    platform.runFor(10);
    assert.equal(platform.now(), 10);
  });

  it("stops at the limit, and goes on from there", () => {
    const platform = new VirtualPlatform(1);
    let fired = false;
    platform.setTimer(100, () => {
      fired = true;
    });
    assert.equal(
      platform.run(() => fired, 50),
      false,
    );
    platform.runFor(50);
    assert.equal(fired, true);
  });

  it("keeps two thousand timers in order", () => {
    const platform = new VirtualPlatform(42);
    const times: number[] = [];
    for (let index = 0; index < 2_000; index += 1) {
      const timer = platform.setTimer(platform.random() * 1_000, () => times.push(platform.now()));
      if (index % 3 === 0) {
        platform.clearTimer(timer);
      }
    }
    platform.runFor(2_000);
    assert.equal(times.length, 1_333);
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
  });

  it("throws the same dice for the same seed", () => {
    const throws = (seed: number): string => {
      const bytes = new Uint8Array(64);
      new VirtualPlatform(seed).randomFill(bytes);
      return Buffer.from(bytes).toString("hex");
    };
    assert.equal(throws(1), throws(1));
    assert.notEqual(throws(1), throws(2));
  });

  it("says so when time stands still", () => {
    const platform = new VirtualPlatform(1);
    const again = (): void => {
      platform.setTimer(0, again);
    };
    again();
    assert.throws(() => platform.runFor(1), /virtual time stands still/);
  });

  it("lets promises settle between one moment and the next", async () => {
    const platform = new VirtualPlatform(1);
    const wait = (ms: number): Promise<void> =>
      new Promise((resolve) => {
        platform.setTimer(ms, resolve);
      });
    const order: string[] = [];
    const work = (async () => {
      await wait(10);
      order.push(`a@${platform.now()}`);
      await wait(10);
      order.push(`b@${platform.now()}`);
    })();
    await platform.runAsync(() => order.length === 2);
    await work;
    assert.deepEqual(order, ["a@10", "b@20"]);
  });
});
