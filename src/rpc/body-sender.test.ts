import assert from "node:assert/strict";
import { test } from "node:test";
import { nodePlatform } from "../base/node-platform.ts";
import { release } from "../base/release.ts";
import { BodySender } from "./body-sender.ts";

/** Takes chunks; `room` says how many before it reports to be full. */
class Stream {
  copiesData = true;
  readonly sent: Uint8Array[] = [];
  room = Number.POSITIVE_INFINITY;

  sendData(bytes: Uint8Array): boolean {
    this.sent.push(bytes);
    return this.sent.length < this.room;
  }
}

function send(stream: Stream, source: AsyncIterator<Uint8Array>): BodySender {
  return new BodySender(stream, source, nodePlatform);
}

async function* chunks(count: number, size = 1): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) {
    yield new Uint8Array(size).fill(i);
  }
}

/** Such a chunk leaves alone. */
const largeBytes = 1_024;

test("sends everything and says so", async () => {
  const stream = new Stream();
  assert.equal(await send(stream, chunks(3)).run(), true);
  assert.deepEqual([...Buffer.concat(stream.sent)], [0, 1, 2]);
});

test("small chunks that come without a pause leave together, before anything else happens", async () => {
  const stream = new Stream();
  let resume: () => void = () => {};
  const source = (async function* () {
    yield* chunks(3);
    await new Promise<void>((resolve) => {
      resume = resolve;
    });
    yield Uint8Array.of(3);
    yield new Uint8Array(largeBytes).fill(4);
    yield Uint8Array.of(5);
  })();
  const running = send(stream, source).run();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(
    stream.sent.map((bytes) => [...bytes]),
    [[0, 1, 2]],
  );
  resume();
  assert.equal(await running, true);
  assert.deepEqual(
    stream.sent.map((bytes) => [bytes[0], bytes.length]),
    [
      [0, 3],
      [3, 1],
      [4, largeBytes],
      [5, 1],
    ],
  );
});

test("what was gathered is not sent after a stop", async () => {
  const stream = new Stream();
  const source = (async function* () {
    yield Uint8Array.of(1);
    await new Promise(() => {});
  })();
  const sender = send(stream, source);
  void sender.run();
  await turns();
  sender.stop();
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(stream.sent.length, 0);
});

test("sends no empty chunks", async () => {
  const stream = new Stream();
  const source = (async function* () {
    yield new Uint8Array(0);
  })();
  assert.equal(await send(stream, source).run(), true);
  assert.equal(stream.sent.length, 0);
});

test("F7: pulls nothing while the stream is full", async () => {
  const stream = new Stream();
  stream.room = 2;
  let pulled = 0;
  const source = (async function* () {
    for (;;) {
      pulled += 1;
      yield new Uint8Array(largeBytes);
    }
  })();
  const sender = send(stream, source);
  const running = sender.run();
  await turns();
  assert.equal(pulled, 2);
  stream.room = 4;
  sender.writable();
  await turns();
  assert.equal(pulled, 4);
  sender.stop();
  assert.equal(await running, false);
});

test("F10: a source that never waits for anything leaves others their turn", async () => {
  const stream = new Stream();
  const sender = send(stream, chunks(10_000));
  const running = sender.run();
  let turns = 0;
  while (stream.sent.reduce((bytes, { length }) => bytes + length, 0) < 10_000) {
    await new Promise((resolve) => setImmediate(resolve));
    turns += 1;
  }
  assert.ok(turns > 10, `${turns} turns`);
  assert.equal(await running, true);
});

test("a stop while the stream is full ends it", async () => {
  const stream = new Stream();
  stream.room = 1;
  const sender = send(stream, chunks(3, largeBytes));
  const running = sender.run();
  await turns();
  sender.stop();
  assert.equal(await running, false);
  assert.equal(stream.sent.length, 1);
});

test("F16: what comes after a stop is not sent", async () => {
  const stream = new Stream();
  let resume: () => void = () => {};
  const source = (async function* () {
    await new Promise<void>((resolve) => {
      resume = resolve;
    });
    yield Uint8Array.of(1);
  })();
  const sender = send(stream, source);
  const running = sender.run();
  await turns();
  sender.stop();
  resume();
  assert.equal(await running, false);
  assert.equal(stream.sent.length, 0);
});

test("passes on what the source throws", async () => {
  const source = (async function* (): AsyncGenerator<Uint8Array> {
    yield Uint8Array.of(1);
    throw new Error("broken");
  })();
  await assert.rejects(send(new Stream(), source).run(), /broken/);
});

async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) {
    await Promise.resolve();
  }
}

test("a chunk is spent when the stream has taken it, and not while the stream keeps it", async () => {
  const stream = new Stream();
  stream.room = 2;
  const spent: number[] = [];
  const source = chunks(3, largeBytes);
  const sender = send(
    stream,
    Object.assign(source, { spent: ([first]: Uint8Array) => spent.push(first ?? -1) }),
  );
  const running = sender.run();
  while (stream.sent.length < 2) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  stream.room = Number.POSITIVE_INFINITY;
  sender.writable();
  assert.equal(await running, true);
  assert.deepEqual(
    stream.sent.map(([first]) => first),
    [0, 1, 2],
  );
  assert.deepEqual(spent, [0, 2]);
});

test("a chunk is never spent where the stream sends from its memory", async () => {
  const stream = new Stream();
  stream.copiesData = false;
  const source = Object.assign(chunks(3, largeBytes), { spent: assert.fail });
  assert.equal(await send(stream, source).run(), true);
});

test("others get their turn between large chunks that are given back", async () => {
  let ofTurn = 0;
  let most = 0;
  const stream = new Stream();
  const soon = (callback: () => void): void => {
    most = Math.max(most, ofTurn);
    ofTurn = 0;
    nodePlatform.soon(callback);
  };
  const sendData = (bytes: Uint8Array): boolean => {
    ofTurn += bytes.length;
    return true;
  };
  const source = Object.assign(chunks(20, 60_000), {
    spent: (chunk: Uint8Array) => release(chunk),
  });
  await new BodySender({ ...stream, sendData }, source, { ...nodePlatform, soon }).run();
  assert.equal(most, 120_000);
});
