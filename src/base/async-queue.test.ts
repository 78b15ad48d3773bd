import assert from "node:assert/strict";
import { test } from "node:test";
import { AsyncQueue } from "./async-queue.ts";

test("AsyncQueue hands values out in the order of arrival", async () => {
  const queue = new AsyncQueue<number>();
  queue.push(1);
  queue.push(2);
  assert.equal(queue.size, 2);
  assert.deepEqual([await queue.next(), await queue.next()], [1, 2]);
});

test("AsyncQueue serves those who wait in the order of asking", async () => {
  const queue = new AsyncQueue<number>();
  const waiting = [queue.next(), queue.next()];
  queue.push(1);
  queue.push(2);
  assert.deepEqual(await Promise.all(waiting), [1, 2]);
});

test("AsyncQueue gives what is left after its end, then undefined, and drops what comes later", async () => {
  const queue = new AsyncQueue<number>();
  queue.push(1);
  queue.end();
  queue.end();
  queue.push(2);
  assert.equal(queue.ended, true);
  assert.deepEqual([await queue.next(), await queue.next()], [1, undefined]);
});

test("AsyncQueue ends those who wait with undefined", async () => {
  const queue = new AsyncQueue<number>();
  const waiting = queue.next();
  queue.end();
  assert.equal(await waiting, undefined);
});

test("AsyncQueue loses no value to a wait that was aborted", async () => {
  const queue = new AsyncQueue<number>();
  const controller = new AbortController();
  const aborted = queue.next({ signal: controller.signal });
  const waiting = queue.next();
  controller.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
  queue.push(1);
  assert.equal(await waiting, 1);
  await assert.rejects(queue.next({ signal: controller.signal }), /enough/);
});
