import assert from "node:assert/strict";
import { test } from "node:test";
import { get, ok, Recorder } from "../../test/support/http3-peer.ts";
import { http3Suite } from "../../test/support/http3-suite.ts";
import { ManualPlatform, settled } from "../../test/support/manual-platform.ts";
import { connectInMemory, type MemoryLinkOptions } from "../../test/support/memory-engine.ts";
import { Http3Connection } from "./http3-connection.ts";

async function connect(options: MemoryLinkOptions = {}) {
  const { client, server } = connectInMemory(options);
  const platform = new ManualPlatform();
  await settled();
  return {
    client,
    server,
    platform,
    settle: async () => {
      await settled();
      platform.advance(0);
      await settled();
    },
    advance: async (byMs: number) => {
      platform.advance(byMs);
      await settled();
    },
  };
}

http3Suite("the memory engine", connect);

let seed = 1;
const random = (): number => {
  seed = (seed * 48_271) % 2_147_483_647;
  return seed / 2_147_483_647;
};
http3Suite("a memory engine that reorders and cuts", (options) =>
  connect({ ...options, random, chunkSize: 7 }),
);

test("a connection is kept alive while requests are open, and a little longer (RFC 9114 §5.1)", async () => {
  const { client, server, platform, settle, advance } = await connect();
  const streams: (() => void)[] = [];
  new Http3Connection(server, {
    role: "server",
    platform,
    keepAliveMs: 1_000,
    onRequest: (stream) => {
      streams.push(() => stream.sendHeaders(ok, { end: true }));
      return new Recorder();
    },
  });
  const http3 = new Http3Connection(client, { role: "client", platform });
  assert.equal(client.keepAliveMs, 0);
  http3.request(get, new Recorder(), { end: true });
  await settle();
  assert.equal(client.keepAliveMs, 5_000);
  assert.equal(server.keepAliveMs, 1_000);
  streams[0]?.();
  await settle();
  await advance(4_999);
  assert.equal(client.keepAliveMs, 5_000);
  assert.equal(server.keepAliveMs, 0);
  await advance(1);
  assert.equal(client.keepAliveMs, 0);
});

test("works when made before the handshake is done, and queues requests until then", async () => {
  const link = connectInMemory({ schedule: "manual" });
  const platform = new ManualPlatform();
  const received: string[] = [];
  new Http3Connection(link.server, {
    role: "server",
    platform,
    onRequest: (stream) => {
      received.push("request");
      stream.sendHeaders(ok, { end: true });
      return new Recorder();
    },
  });
  const client = new Http3Connection(link.client, { role: "client", platform });
  const response = new Recorder();
  client.request(get, response, { end: true });
  assert.equal(client.queuedRequests, 1);
  link.settle();
  assert.deepEqual(received, ["request"]);
  assert.equal(response.log.at(-1), "end");
});

test("F15: a connection that ends by a timeout fails its calls, and leaves no timer behind", async () => {
  const { client, platform, settle } = await connect();
  const closed: unknown[] = [];
  const http3 = new Http3Connection(client, {
    role: "client",
    platform,
    onClosed: (cause) => closed.push(cause),
  });
  const response = new Recorder();
  http3.request(get, response, { end: true });
  client.end({ type: "timeout", handshaking: false });
  await settle();
  assert.equal(response.error?.scope, "connection");
  assert.match(response.error?.message ?? "", /nothing came from the peer/);
  assert.deepEqual(closed, [{ type: "timeout", handshaking: false }]);
  assert.equal(platform.timers, 0);
  await http3.shutdown({ timeoutMs: 1_000 });
  assert.equal(platform.timers, 0);
});
