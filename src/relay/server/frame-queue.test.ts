import assert from "node:assert/strict";
import { test } from "node:test";
import { FrameQueue } from "./frame-queue.ts";

test("FrameQueue gives the oldest first and knows what it holds", () => {
  const queue = new FrameQueue();
  for (let mark = 0; mark < 300; mark += 1) {
    queue.push(new Uint8Array(10).fill(mark));
    if (mark % 3 === 2) {
      assert.equal(queue.take()?.[0], (mark - 2) / 3);
    }
  }
  assert.deepEqual([queue.size, queue.bytes], [200, 2_000]);
  for (let mark = 100; mark < 300; mark += 1) {
    assert.equal(queue.take()?.[0], mark & 0xff);
  }
  assert.deepEqual([queue.size, queue.bytes, queue.take()], [0, 0, undefined]);
});

test("FrameQueue holds no large buffer for a small frame, and copies no large frame", () => {
  const queue = new FrameQueue();
  const chunk = new Uint8Array(65_536).fill(7);
  queue.push(chunk.subarray(100, 200));
  queue.push(chunk.subarray(0, 60_000));
  assert.equal(queue.take()?.buffer.byteLength, 100);
  assert.equal(queue.take()?.buffer, chunk.buffer);
});
