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

test("of several shutdowns the one counts whose time is up first", async () => {
  const { client, platform, settle, advance } = await connect();
  const http3 = new Http3Connection(client, { role: "client", platform });
  const response = new Recorder();
  http3.request(get, response, { end: true });
  await settle();
  let over = 0;
  const patient = http3.shutdown({ timeoutMs: 2_000_000_000 }).then(() => {
    over += 1;
  });
  const hasty = http3.shutdown({ timeoutMs: 3_000 }).then(() => {
    over += 1;
  });
  void http3.shutdown({ timeoutMs: 10_000 });
  await advance(2_999);
  assert.equal(over, 0);
  await advance(1);
  await Promise.all([patient, hasty]);
  assert.equal(response.error?.scope, "connection");
  assert.equal(platform.timers, 0);
});

for (const complete of [true, false]) {
  const what = complete
    ? "ends well when its end had arrived"
    : "fails only after what had arrived";
  test(`F8: a response whose reader is late ${what} before the server closed`, async () => {
    const { client, server, platform, settle } = await connect({ chunkSize: 1_000 });
    const content = new Uint8Array(10_000).fill(7);
    const serving = new Http3Connection(server, {
      role: "server",
      platform,
      onRequest: (stream) => {
        stream.sendHeaders(ok);
        stream.sendData(content, { end: complete });
        return new Recorder();
      },
    });
    const http3 = new Http3Connection(client, { role: "client", platform });
    const response = new Recorder();
    const stream = http3.request(get, response, { end: true });
    response.onCall = (name) => {
      if (name === "headers" || name === "data") {
        stream.pause();
      }
    };
    await settle();
    assert.deepEqual(response.content, []);
    if (complete) {
      const closed = serving.shutdown({ timeoutMs: 60_000 });
      await settle();
      await closed;
    } else {
      serving.close(0n, "");
    }
    await settle();
    assert.equal(http3.state, "closed");
    assert.deepEqual(Buffer.concat(response.content), Buffer.from(content));
    assert.equal(response.log.at(-1), complete ? "end" : "failed");
    assert.equal(http3.activeRequests, 0);
  });
}

test("a connection that is closed here delivers nothing more", async () => {
  const { client, server, platform, settle } = await connect();
  new Http3Connection(server, {
    role: "server",
    platform,
    onRequest: (stream) => {
      stream.sendHeaders(ok);
      stream.sendData(new Uint8Array(10), { end: true });
      return new Recorder();
    },
  });
  const http3 = new Http3Connection(client, { role: "client", platform });
  const response = new Recorder();
  const stream = http3.request(get, response, { end: true });
  response.onCall = () => stream.pause();
  await settle();
  http3.close(0n, "");
  await settle();
  assert.equal(response.log.at(-1), "failed");
  assert.deepEqual(response.content, []);
});
