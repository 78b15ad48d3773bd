import assert from "node:assert/strict";
import { test } from "node:test";
import { nodePlatform } from "../base/node-platform.ts";
import { BodySender } from "./body-sender.ts";

/** Takes chunks; `room` says how many before it reports to be full. */
class Stream {
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

async function* chunks(count: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < count; i++) {
    yield Uint8Array.of(i);
  }
}

test("sends everything and says so", async () => {
  const stream = new Stream();
  assert.equal(await send(stream, chunks(3)).run(), true);
  assert.deepEqual(
    stream.sent.map(([byte]) => byte),
    [0, 1, 2],
  );
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
      yield Uint8Array.of(pulled++);
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
  const sender = send(stream, chunks(1_000));
  const running = sender.run();
  let turns = 0;
  while (stream.sent.length < 1_000) {
    await new Promise((resolve) => setImmediate(resolve));
    turns += 1;
  }
  assert.ok(turns > 10, `${turns} turns`);
  assert.equal(await running, true);
});

test("a stop while the stream is full ends it", async () => {
  const stream = new Stream();
  stream.room = 1;
  const sender = send(stream, chunks(3));
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
