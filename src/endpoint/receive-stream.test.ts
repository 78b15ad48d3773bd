import assert from "node:assert/strict";
import { test } from "node:test";
import { stayAlive } from "../../test/support/stay-alive.ts";
import type { CloseCause, EngineStream } from "../engine/engine.ts";
import { Endpoint } from "./endpoint.ts";
import { connectionLost } from "./endpoint-error.ts";
import { ProcessHold } from "./process-hold.ts";
import { ReceiveStream } from "./receive-stream.ts";

stayAlive();

const closedByPeer: CloseCause = { type: "application", origin: "peer", code: 0n, reason: "" };

/** A stream on which some chunks have arrived; `end` is what becomes of it once they are read. */
function arrived(chunks: readonly number[][], end: "open" | "finished" | "reset") {
  const waiting = chunks.map((chunk) => Uint8Array.from(chunk));
  let stopped = false;
  const stream = {
    id: 3,
    read: () => (stopped ? undefined : waiting.shift()),
    stop: () => {
      stopped = true;
    },
    get receiveState() {
      return stopped ? "stopped" : waiting.length === 0 ? end : "open";
    },
    resetCode: 7n,
  };
  const receive = new ReceiveStream(stream as unknown as EngineStream, new ProcessHold(() => {}));
  const close = (cause: CloseCause = closedByPeer): void => {
    receive.handleConnectionClosed(connectionLost(cause, "abcdefghij"));
    // From here on the engine knows the stream no more.
    stream.stop = () => {};
    stream.read = () => assert.fail("the stream is gone");
  };
  return { receive, close };
}

async function numbers(receive: ReceiveStream): Promise<number[]> {
  const all: number[] = [];
  for (let bytes = await receive.read(); bytes !== undefined; bytes = await receive.read()) {
    all.push(...bytes);
  }
  return all;
}

test("F8: what had arrived is read after the connection has ended, then the error comes", async () => {
  const { receive, close } = arrived([[1, 2, 3], [4]], "open");
  assert.deepEqual(await receive.read(), Uint8Array.of(1, 2, 3));
  close();
  assert.deepEqual(await receive.read(), Uint8Array.of(4));
  await assert.rejects(receive.read(), { code: "connection-lost" });
  await assert.rejects(receive.read(), { code: "connection-lost" });
});

test("F8: a stream whose end had arrived is complete though the connection has ended", async () => {
  const { receive, close } = arrived([[1, 2, 3], [4]], "finished");
  close();
  assert.deepEqual(await receive.read({ maxBytes: 2 }), Uint8Array.of(1, 2));
  assert.deepEqual(await numbers(receive), [3, 4]);
  assert.equal(await receive.read(), undefined);
});

test("a reset that had arrived comes before the end of the connection", async () => {
  const { receive, close } = arrived([], "reset");
  close();
  await assert.rejects(receive.read(), { code: "stream-reset", streamCode: 7n });
});

test("a reader that waits gets what came last", async () => {
  const { receive, close } = arrived([], "open");
  const reading = receive.read();
  close();
  await assert.rejects(reading, { code: "connection-lost" });
});

test("what a stopped stream had is gone, also after the end of the connection", async () => {
  const { receive, close } = arrived([[1, 2, 3]], "finished");
  close();
  receive.stop();
  await assert.rejects(receive.read(), { code: "stream-ended" });
});

test("who closes a connection has given up what was not read", async () => {
  const { receive, close } = arrived([[1, 2, 3]], "finished");
  close({ type: "application", origin: "local", code: 0n, reason: "" });
  await assert.rejects(receive.read(), { code: "connection-lost" });
});

test("F8: 600 kB that the peer knows to be delivered are read after it has closed", async () => {
  await using server = await Endpoint.bind({ bind: "127.0.0.1:0", alpns: ["test/1"] });
  await using client = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const [dialed, accepted] = await Promise.all([
    client.connect(server.ticket(), "test/1"),
    server.accept(),
  ]);
  assert.ok(accepted);
  const send = await accepted.openUni();
  await send.write(new Uint8Array(600_000).fill(1));
  await send.finish();
  const receive = await dialed.acceptUni();
  assert.ok(receive);
  const first = await receive.read({ maxBytes: 1_000 });
  assert.ok(first);
  // Waits for the acknowledgement of everything.
  await accepted.close();
  await dialed.closed;
  const rest = await receive.readToEnd(1_000_000);
  assert.equal(first.length + rest.length, 600_000);
});

test("F8: a stream that is accepted after its connection has ended is complete", async () => {
  await using server = await Endpoint.bind({ bind: "127.0.0.1:0", alpns: ["test/1"] });
  await using client = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const [incoming, outgoing] = await Promise.all([
    server.accept(),
    client.connect(server.ticket(), "test/1"),
  ]);
  assert(incoming);
  const send = await outgoing.openUni();
  await send.write(new Uint8Array(100_000));
  send.finish();
  // Graceful: the peer has everything, and has acknowledged it.
  await outgoing.close();
  await incoming.closed;
  const receive = await incoming.acceptUni();
  assert.equal((await receive?.readToEnd(200_000))?.length, 100_000);
});
