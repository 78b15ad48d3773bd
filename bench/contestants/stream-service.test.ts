import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ByteStream,
  encodeTotal,
  encodeWish,
  parseTotal,
  parseWish,
  serveStream,
  streamCaller,
  type Wish,
} from "./stream-service.ts";

test("wishes come back, with what was behind them, and are incomplete when cut", () => {
  const wishes: Wish[] = [
    { type: "echo" },
    { type: "upload" },
    { type: "download", count: 70_000, size: 65_536 },
  ];
  for (const wish of wishes) {
    const bytes = encodeWish(wish);
    const found = parseWish(Buffer.concat([bytes, Uint8Array.of(7, 8)]));
    assert.deepEqual(found?.wish, wish);
    assert.deepEqual([...(found?.rest ?? [])], [7, 8]);
    assert.equal(parseWish(bytes.subarray(0, -1)), undefined);
  }
  assert.throws(() => parseWish(Uint8Array.of(9)), /unknown wish 9/);
  assert.equal(parseTotal(encodeTotal(5_000_000_000)), 5_000_000_000);
});

test("a caller and a server of streams get along", async () => {
  const caller = streamCaller(
    async () => {
      const [near, far] = joinedStreams();
      void serveStream(far);
      return near;
    },
    async () => {},
  );
  await caller.echo(new Uint8Array(100));
  await caller.download(3, 1_000);
  await caller.upload(3, new Uint8Array(1_000));
  await caller.chat(3, new Uint8Array(10));
  await caller.hold(new Uint8Array(10));
});

/** Two ends; each hands out what the other has written, a byte first, to see that pieces may be cut anywhere. */
function joinedStreams(): [ByteStream, ByteStream] {
  const pipes = [pipe(), pipe()] as const;
  const end = (reads: Pipe, writes: Pipe): ByteStream => ({
    ...writes.writable,
    ...reads.readable,
  });
  return [end(pipes[0], pipes[1]), end(pipes[1], pipes[0])];
}

type Pipe = ReturnType<typeof pipe>;

function pipe() {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>(undefined, {
    highWaterMark: 100,
  });
  const writer = writable.getWriter();
  const reader = readable.getReader();
  return {
    writable: {
      async write(bytes: Uint8Array) {
        await writer.write(bytes.subarray(0, 1));
        await writer.write(bytes.subarray(1));
      },
      finish: () => writer.close(),
    },
    readable: { read: async () => (await reader.read()).value },
  };
}
