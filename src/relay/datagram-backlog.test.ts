import assert from "node:assert/strict";
import { test } from "node:test";
import { DatagramBacklog } from "./datagram-backlog.ts";

function encoded(
  mark: number,
  length = 1_000,
): { frame: Uint8Array; datagrams: number; bytes: number } {
  return { frame: new Uint8Array(length).fill(mark), datagrams: 2, bytes: length };
}

test("DatagramBacklog gives the oldest first", () => {
  const backlog = new DatagramBacklog();
  for (let mark = 0; mark < 200; mark += 1) {
    assert.ok(backlog.push(encoded(mark), mark));
  }
  assert.deepEqual(
    Array.from({ length: 200 }, () => backlog.take()?.frame[0]),
    Array.from({ length: 200 }, (_, mark) => mark),
  );
  assert.ok(backlog.isEmpty);
  assert.equal(backlog.take(), undefined);
});

test("DatagramBacklog holds 384 KiB, small frames counted with what they cost, and has room again", () => {
  for (const [length, count] of [
    [65_000, 6],
    [1, 1_530],
  ] as const) {
    const backlog = new DatagramBacklog();
    let fitted = 0;
    while (backlog.push(encoded(0, length), 0)) {
      fitted += 1;
    }
    assert.equal(fitted, count);
    backlog.take();
    assert.ok(backlog.push(encoded(0, length), 0));
  }
});

test("DatagramBacklog drops what is older than 3 s and counts the datagrams", () => {
  const backlog = new DatagramBacklog();
  backlog.push(encoded(1), 0);
  backlog.push(encoded(2), 500);
  backlog.push(encoded(3), 1_000);
  assert.equal(backlog.expire(3_000), 0);
  assert.equal(backlog.expire(3_501), 4);
  assert.equal(backlog.take()?.frame[0], 3);
});
