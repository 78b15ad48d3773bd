import assert from "node:assert/strict";
import { test } from "node:test";
import { maxReplayBytes, ReplayableBody } from "./replayable-body.ts";

async function* chunks(sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (const [index, size] of sizes.entries()) {
    yield new Uint8Array(size).fill(index);
  }
}

async function sizes(reader: AsyncIterator<Uint8Array>): Promise<number[]> {
  const all: number[] = [];
  for (let next = await reader.next(); next.done !== true; next = await reader.next()) {
    all.push(next.value.length);
  }
  return all;
}

test("is read from the beginning a second time", async () => {
  const body = new ReplayableBody(chunks([1, 2, 3]));
  assert.deepEqual(await sizes(body.read()), [1, 2, 3]);
  assert.equal(body.replayable, true);
  assert.deepEqual(await sizes(body.read()), [1, 2, 3]);
});

test("a second reader goes on where the first one stopped", async () => {
  const body = new ReplayableBody(chunks([1, 2, 3]));
  const first = body.read();
  await first.next();
  await first.next();
  assert.deepEqual(await sizes(body.read()), [1, 2, 3]);
});

test("a chunk that the first reader still waited for is not lost", async () => {
  let give: (chunk: Uint8Array) => void = () => {};
  const source = (async function* () {
    yield new Uint8Array(1);
    yield await new Promise<Uint8Array>((resolve) => {
      give = resolve;
    });
  })();
  const body = new ReplayableBody(source);
  const first = body.read();
  await first.next();
  const pending = first.next();
  const second = sizes(body.read());
  await Promise.resolve();
  give(new Uint8Array(2));
  assert.equal((await pending).value?.length, 2);
  assert.deepEqual(await second, [1, 2]);
});

test("F9: keeps no more than its limit, however long the stream is", async () => {
  const body = new ReplayableBody(chunks(Array<number>(1_000).fill(1_000)));
  const reader = body.read();
  for (let i = 0; i < Math.floor(maxReplayBytes / 1_000); i++) {
    await reader.next();
  }
  assert.equal(body.replayable, true);
  await reader.next();
  assert.equal(body.replayable, false);
  assert.equal((await sizes(reader)).length, 1_000 - Math.floor(maxReplayBytes / 1_000) - 1);
});

test("keeps nothing once it is not to be sent again", async () => {
  const body = new ReplayableBody(chunks([1, 2]));
  const reader = body.read();
  await reader.next();
  body.forget();
  assert.equal(body.replayable, false);
  assert.deepEqual(await sizes(reader), [2]);
});

test("tells the source that nobody reads on, and why", async () => {
  const log: unknown[] = [];
  const source = (async function* () {
    try {
      yield new Uint8Array(1);
    } catch (error) {
      log.push(error);
    } finally {
      log.push("finally");
    }
  })();
  const body = new ReplayableBody(source);
  await body.read().next();
  body.abandon("reason");
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(log, ["reason", "finally"]);
});
