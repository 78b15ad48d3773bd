import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DelayQueue } from "./delay-queue.ts";

test("what is due leaves, and the rest stays", () => {
  const queue = new DelayQueue<string>();
  assert.equal(queue.nextAt, undefined);
  queue.add("late", 30);
  queue.add("early", 10);
  assert.equal(queue.nextAt, 10);
  assert.deepEqual(queue.takeDue(9), []);
  assert.deepEqual(queue.takeDue(10), ["early"]);
  assert.deepEqual(queue.takeDue(100), ["late"]);
  assert.equal(queue.nextAt, undefined);
});

test("everything leaves by time, and in the order of arrival within one time", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20)), (times) => {
      const queue = new DelayQueue<{ at: number; index: number }>();
      for (const [index, at] of times.entries()) {
        queue.add({ at, index }, at);
      }
      const left = Array.from({ length: 21 }, (_, now) => queue.takeDue(now)).flat();
      const expected = times
        .map((at, index) => ({ at, index }))
        .sort((one, other) => one.at - other.at || one.index - other.index);
      assert.deepEqual(left, expected);
    }),
  );
});
