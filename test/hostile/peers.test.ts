// Peers that mean no good at a serving endpoint, in virtual time: limits hold, and the calls of another peer go on.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { deferred } from "../../src/base/deferred.ts";
import {
  type BiStream,
  type Connection,
  createPeerRouter,
  type Endpoint,
  EndpointError,
} from "../../src/index.ts";
import { EchoService, echoImplementation } from "../support/echo-service.ts";
import { concat, frame, headers, hex, text } from "../support/http3-peer.ts";
import { stayAlive } from "../support/stay-alive.ts";
import { VirtualPeers } from "../support/virtual-peers.ts";

const alpn = "connect-quic/1";
/** H3_REQUEST_REJECTED and H3_EXCESSIVE_LOAD, RFC 9114 §8.1. */
const requestRejected = 0x10bn;
const excessiveLoad = 0x107n;
const mebibyte = 1 << 20;

/** The head of a call; `more` are further header fields. */
function head(method: string, type: string, ...more: (readonly [string, string])[]): Uint8Array {
  return headers([
    [":method", "POST"],
    [":scheme", "https"],
    [":authority", "peer"],
    [":path", `/echo.v1.EchoService/${method}`],
    ["content-type", `application/${type}`],
    ...more,
  ]);
}
const unaryHead = (...more: (readonly [string, string])[]): Uint8Array =>
  head("Echo", "proto", ...more);
const streamHead = (...more: (readonly [string, string])[]): Uint8Array =>
  head("Collect", "connect+proto", ...more);

interface Scene {
  readonly peers: VirtualPeers;
  readonly server: Endpoint;
  /** Of the peer that means no good. */
  readonly connection: Connection;
  /** Opens a stream to the server and sends `bytes` on it. */
  open(bytes: Uint8Array): Promise<BiStream>;
  /** Lets this much time pass while the honest peer calls, ten times a second; every call must succeed, quickly. */
  honestCallsFor(durationMs: number): Promise<void>;
}

/** @param early Collect answers without reading its requests. */
async function scene(early = false): Promise<Scene> {
  const peers = new VirtualPeers({ link: { delayMs: 5 } });
  const server = await peers.bind(1);
  createPeerRouter(server).service(EchoService, {
    ...echoImplementation,
    ...(early ? { collect: async () => ({ messages: ["enough"] }) } : {}),
  });
  const hostile = await peers.bind(66);
  const honest = peers.client(await peers.bind(2), server);
  await peers.during(honest.echo({ message: "warm" }));
  const connection = await peers.during(hostile.connect(server.addr(), alpn));
  const control = await connection.openUni();
  await control.write(hex("00 04 00"));
  let calls = 0;
  return {
    peers,
    server,
    connection,
    open: async (bytes) => {
      const stream = await peers.during(connection.openBi());
      await stream.send.write(bytes);
      return stream;
    },
    honestCallsFor: async (durationMs) => {
      const until = peers.platform.now() + durationMs;
      do {
        calls += 1;
        const message = `call ${calls}`;
        const answer = await peers.during(honest.echo({ message }), 200);
        assert.equal(answer.message, message);
        await peers.pass(100);
      } while (peers.platform.now() < until);
    },
  };
}

/** The end of a scene: nothing was reported, and all can be closed. */
async function finish({ peers, server, connection }: Scene, alive: boolean): Promise<void> {
  assert.equal(connection.closeCause === undefined, alive);
  assert.equal(server.connections.size, alive ? 2 : 1);
  assert.deepEqual(peers.reports, []);
  await peers.close();
}

/** How the server has ended its half of a stream that it did not answer. */
async function rejection({ receive }: BiStream): Promise<bigint | undefined> {
  try {
    await receive.readToEnd(1_000);
    return undefined;
  } catch (error) {
    assert.ok(error instanceof EndpointError);
    return error.streamCode;
  }
}

describe("while another peer's calls go on, a peer that", () => {
  stayAlive();

  const silences = {
    "opens all streams that it may and says nothing on them": hex("01"),
    "sends half a header on all streams that it may open": streamHead().subarray(0, 40),
  };
  for (const [what, bytes] of Object.entries(silences)) {
    test(`${what} has them rejected after 10 seconds, and may open others`, async () => {
      const play = await scene();
      const streams: BiStream[] = [];
      for (let count = 0; count < 1_000; count += 1) {
        streams.push(await play.open(bytes));
      }
      const more = play.connection.openBi();
      let opened = false;
      void more.then(() => {
        opened = true;
      });
      await play.honestCallsFor(8_000);
      assert.equal(opened, false);
      await play.honestCallsFor(4_000);
      for (const stream of streams) {
        assert.equal(await play.peers.during(rejection(stream)), requestRejected);
        stream.send.reset();
      }
      await play.honestCallsFor(1_000);
      assert.equal(opened, true);
      await finish(play, true);
    });
  }

  test("sends 10,000 resets is thrown out after some 1,000", async () => {
    const play = await scene();
    let resets = 0;
    for (; resets < 10_000 && play.connection.closeCause === undefined; resets += 1) {
      const { send } = await play.open(streamHead());
      if (resets % 50 === 0) {
        await play.honestCallsFor(1);
      }
      send.reset(0x10cn);
    }
    const cause = await play.peers.during(play.connection.closed);
    assert.ok(cause.type === "application");
    assert.deepEqual([cause.origin, cause.code], ["peer", excessiveLoad]);
    assert.ok(resets < 2_500, `${resets} resets`);
    await play.honestCallsFor(1_000);
    await finish(play, false);
  });

  test("dribbles its header, a byte a second, is rejected after 10 seconds", async () => {
    const play = await scene();
    const bytes = streamHead();
    const stream = await play.open(bytes.subarray(0, 1));
    const outcome = rejection(stream);
    for (let at = 1; at < 10; at += 1) {
      await stream.send.write(bytes.subarray(at, at + 1));
      await play.honestCallsFor(1_000);
    }
    await play.honestCallsFor(2_000);
    assert.equal(await play.peers.during(outcome), requestRejected);
    await finish(play, true);
  });

  test("dribbles its content, a byte a second, costs one waiting call and gets its answer", async () => {
    const play = await scene();
    const body = frame(0x00, hex("00 00 00 00 03 0a 01 61"));
    const stream = await play.open(streamHead());
    for (let at = 0; at < body.length; at += 1) {
      await stream.send.write(body.subarray(at, at + 1));
      await play.honestCallsFor(1_000);
    }
    void stream.send.finish();
    const answer = await play.peers.during(stream.receive.readToEnd(10_000));
    assert.ok(Buffer.from(answer).includes("a"));
    await finish(play, true);
  });

  test("says that 2 GiB will come costs nothing until they come, and a call what fits", async () => {
    const play = await scene();
    const length = ["content-length", "2147483648"] as const;
    const before = play.server.stats().memoryBytes;
    const streams: BiStream[] = [];
    for (let count = 0; count < 100; count += 1) {
      const start = count % 2 === 0 ? unaryHead(length) : streamHead(length);
      // A frame of all of it (RFC 9114 §7.2.1), and in it a message of nearly all of it.
      const content = concat([hex("00 c000000080000000"), hex("00 7ffffff0"), text("x")]);
      streams.push(await play.open(concat([start, content])));
    }
    await play.honestCallsFor(5_000);
    // Where a message is announced, or the content as a whole, that is above the limit, the answer is no.
    const answers = await Promise.all(
      streams.map(async ({ receive }) => {
        const bytes = await play.peers.during(receive.readToEnd(10_000));
        return Buffer.from(bytes).includes("resource_exhausted");
      }),
    );
    assert.ok(answers.every((no) => no));
    assert.ok(play.server.stats().memoryBytes - before < mebibyte);
    await finish(play, true);
  });

  test("floods a call that nobody reads gets one window and no more", async () => {
    const peers = new VirtualPeers({ link: { delayMs: 5 } });
    const server = await peers.bind(1);
    const gate = deferred<void>();
    createPeerRouter(server).service(EchoService, {
      ...echoImplementation,
      collect: async () => {
        await gate.promise;
        return {};
      },
    });
    const hostile = await peers.bind(66);
    const honest = peers.client(await peers.bind(2), server);
    const connection = await peers.during(hostile.connect(server.addr(), alpn));
    await (await connection.openUni()).write(hex("00 04 00"));
    const { send } = await peers.during(connection.openBi());
    await send.write(streamHead());
    let taken = 0;
    const flood = (async () => {
      for (;;) {
        await send.write(frame(0x00, envelope(65_000)));
        taken += 65_000;
      }
    })();
    flood.catch(() => {});
    for (let call = 0; call < 50; call += 1) {
      await peers.during(honest.echo({}), 1_000);
      await peers.pass(100);
    }
    const first = taken;
    await peers.pass(5_000);
    assert.equal(taken, first);
    // The stream's window, what its engine takes ahead, and what waits for the handler.
    assert.ok(taken < 16 * mebibyte, `${taken} bytes`);
    assert.ok(server.stats().memoryBytes < 16 * mebibyte, `${server.stats().memoryBytes} bytes`);
    gate.resolve();
    await peers.close();
  });

  test("goes on sending after STOP_SENDING is not read, and has no window of others for it", async () => {
    const play = await scene(true);
    const { peers, connection } = play;
    // The server's packets take two seconds to it, so for so long it knows of no STOP_SENDING; the other way is as fast
    // as ever. Again and again, all windows of a connection several times over.
    const [from] = play.server.boundAddresses;
    assert.ok(from);
    peers.network.setLink(from, { family: 4, host: "10.0.0.66", port: 4_433 }, { delayMs: 2_000 });
    let sent = 0;
    for (let round = 0; round < 40; round += 1) {
      const { send, receive } = await play.open(streamHead());
      const stopped = send.stopped();
      let over = false;
      void stopped.then(() => {
        over = true;
      });
      const flood = (async () => {
        while (!over) {
          const bytes = frame(0x00, envelope(65_000));
          await send.write(bytes);
          sent += bytes.length;
        }
      })();
      flood.catch(() => {});
      assert.equal(await peers.during(stopped), 0x100n);
      const answer = await peers.during(receive.readToEnd(10_000));
      assert.ok(Buffer.from(answer).includes("enough"));
      await play.honestCallsFor(1);
    }
    assert.ok(sent > 20 * mebibyte, `${sent} bytes`);
    assert.ok(play.server.stats().memoryBytes < 16 * mebibyte);
    assert.equal(connection.closeCause, undefined);
    await finish(play, true);
  });
});

/** A message of the Connect protocol's streams, with an echo of `length` bytes in it. */
function envelope(length: number): Uint8Array {
  const text = Buffer.alloc(length, 0x61);
  const field = Buffer.from([
    0x0a,
    (length & 0x7f) | 0x80,
    ((length >> 7) & 0x7f) | 0x80,
    length >> 14,
  ]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(field.length + length, 1);
  return concat([prefix, field, text]);
}
