import assert from "node:assert/strict";
import { test } from "node:test";
import type { CloseCause, ConnectionHandler, EngineStream } from "../../src/engine/engine.ts";
import { connectInMemory, type MemoryConnection, type MemoryLinkOptions } from "./memory-engine.ts";

test("data and the end of a stream cross with a turn each way and give the stream's credit back", () => {
  const { link, server } = start({ server: { maxBidirectionalStreams: 1 } });
  const stream = open(link.client);
  assert.equal(stream.write(bytes(3), true), 3);
  assert.equal(server.streams.length, 0, "nothing arrives inside of a call");
  link.settle();
  const [accepted] = server.streams;
  assert.ok(accepted);
  assert.deepEqual(accepted.read(), bytes(3));
  assert.equal(accepted.receiveState, "finished");
  assert.equal(link.client.openStream("bidirectional"), undefined);
  accepted.finish();
  link.settle();
  assert.ok(link.client.openStream("bidirectional"));
});

test("a writer stops at the receive window and goes on when the reader has read", () => {
  const { link, server } = start({ server: { streamReceiveWindow: 10 } });
  const stream = open(link.client);
  let writable = 0;
  stream.handler = { ...stream.handler, writable: () => (writable += 1) };
  assert.equal(stream.write(bytes(25)), 10);
  link.settle();
  assert.equal(writable, 0);
  assert.equal(server.streams[0]?.read(4)?.length, 4);
  link.settle();
  assert.equal(writable, 1);
  assert.equal(stream.write(bytes(15)), 4);
});

test("the connection's window holds all streams together, and what was stopped gives its part back", () => {
  const { link, server } = start({ server: { receiveWindow: 10 } });
  const first = open(link.client);
  const second = open(link.client);
  assert.equal(first.write(bytes(8)), 8);
  assert.equal(second.write(bytes(8)), 2);
  link.settle();
  let stopped: bigint | undefined;
  first.handler = { ...first.handler, stopped: (code) => (stopped = code) };
  server.streams[0]?.stop(7n);
  link.settle();
  assert.equal(stopped, 7n);
  assert.throws(() => first.write(bytes(1)), { code: "stream-ended" });
  assert.equal(second.write(bytes(6)), 6);
});

test("a reset takes what was not read away and says its code", () => {
  const { link, server } = start();
  const stream = open(link.client);
  stream.write(bytes(5));
  stream.reset(9n);
  link.settle();
  const [accepted] = server.streams;
  assert.equal(accepted?.receiveState, "reset");
  assert.equal(accepted?.resetCode, 9n);
  assert.equal(accepted?.read(), undefined);
});

test("a stream limit refuses, and says when there is room again", () => {
  const { link, client, server } = start({ server: { maxUnidirectionalStreams: 1 } });
  link.client.openStream("unidirectional")?.finish();
  assert.equal(link.client.openStream("unidirectional"), undefined);
  link.settle();
  assert.equal(server.streams[0]?.receiveState, "finished");
  assert.deepEqual(client.available, ["unidirectional"]);
});

test("closing tells both sides, the streams first, and loses what was not delivered", () => {
  const { link, client, server } = start();
  const stream = open(link.client);
  let told: CloseCause | undefined;
  stream.handler = { ...stream.handler, connectionClosed: (cause) => (told = cause) };
  stream.write(bytes(5));
  link.client.close(3n, "bye");
  link.client.close(4n, "again");
  link.settle();
  assert.equal(server.streams.length, 0);
  assert.deepEqual(told, { type: "application", origin: "local", code: 3n, reason: "bye" });
  assert.deepEqual(client.causes, [told]);
  assert.deepEqual(server.causes, [
    { type: "application", origin: "peer", code: 3n, reason: "bye" },
  ]);
  assert.throws(() => link.client.openStream("bidirectional"), { code: "closed" });
});

test("with random numbers streams overtake each other and keep their own order", () => {
  let seed = 1;
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  const { link, server } = start({ random });
  const order: number[] = [];
  const streams = Array.from({ length: 20 }, () => open(link.client));
  for (const stream of streams) {
    stream.write(Uint8Array.of(stream.id));
  }
  server.onStream = (stream) => {
    stream.handler = { ...stream.handler, readable: () => order.push(stream.id) };
  };
  link.settle();
  assert.equal(order.length, 20);
  assert.notDeepEqual(
    order,
    [...order].sort((a, b) => a - b),
  );
});

function start(options: MemoryLinkOptions = {}) {
  const link = connectInMemory({ schedule: "manual", ...options });
  const client = new Recorder();
  const server = new Recorder();
  link.client.handler = client;
  link.server.handler = server;
  link.turn();
  return { link, client, server };
}

function open(connection: MemoryConnection): EngineStream {
  const stream = connection.openStream("bidirectional");
  assert.ok(stream);
  return stream;
}

function bytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => index);
}

class Recorder implements ConnectionHandler {
  readonly streams: EngineStream[] = [];
  readonly available: string[] = [];
  readonly causes: CloseCause[] = [];
  onStream: (stream: EngineStream) => void = () => {};

  connected(): void {}
  streamOpened(stream: EngineStream): void {
    this.streams.push(stream);
    this.onStream(stream);
  }
  streamsAvailable(direction: string): void {
    this.available.push(direction);
  }
  datagram(): void {}
  datagramsWritable(): void {}
  pathsChanged(): void {}
  closed(cause: CloseCause): void {
    this.causes.push(cause);
  }
}
