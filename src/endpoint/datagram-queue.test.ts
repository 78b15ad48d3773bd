import assert from "node:assert/strict";
import { test } from "node:test";
import { DatagramQueue } from "./datagram-queue.ts";

test("DatagramQueue keeps the newest datagrams that fit", async () => {
  const queue = new DatagramQueue(3 * 164);
  for (let number = 0; number < 5; number += 1) {
    queue.push(new Uint8Array(100).fill(number));
  }
  queue.end();
  const kept: (number | undefined)[] = [];
  for (let next = await queue.next(); next !== undefined; next = await queue.next()) {
    kept.push(next[0]);
  }
  assert.deepEqual(kept, [2, 3, 4]);
});

test("DatagramQueue does not keep empty datagrams without end", async () => {
  const queue = new DatagramQueue(640);
  for (let number = 0; number < 1_000; number += 1) {
    queue.push(new Uint8Array());
  }
  queue.end();
  let kept = 0;
  while ((await queue.next()) !== undefined) {
    kept += 1;
  }
  assert.equal(kept, 10);
});

test("DatagramQueue counts what it keeps, not what a waiting reader gets at once", async () => {
  const queue = new DatagramQueue(1_064);
  for (let number = 0; number < 10; number += 1) {
    const next = queue.next();
    queue.push(new Uint8Array(1_000).fill(number));
    assert.equal((await next)?.[0], number);
  }
  queue.push(new Uint8Array(1_000).fill(10));
  assert.equal((await queue.next())?.[0], 10);
});

test("DatagramQueue loses nothing to a reader that gives up", async () => {
  const queue = new DatagramQueue(1_000);
  const controller = new AbortController();
  const next = queue.next({ signal: controller.signal });
  controller.abort(new Error("enough"));
  await assert.rejects(next, /enough/);
  queue.push(Uint8Array.of(1));
  await assert.rejects(queue.next({ signal: controller.signal }), /enough/);
  assert.deepEqual(await queue.next(), Uint8Array.of(1));
});
