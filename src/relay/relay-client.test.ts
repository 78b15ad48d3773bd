import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeHex, encodeHex } from "../base/hex.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import { parseRelayUrl } from "../identity/relay-url.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { type MemoryChannel, MemoryChannels } from "../testing/memory-channel.ts";
import { VirtualPlatform } from "../testing/virtual-platform.ts";
import type { MessageChannelHandler, MessageChannelOptions } from "./message-channel.ts";
import { RelayClient, type RelayClientState } from "./relay-client.ts";
import {
  type ClientFrame,
  type DatagramsFrame,
  decodeClientFrame,
  encodeRelayFrame,
  type PingFrame,
  type RelayFrame,
} from "./relay-frame.ts";
import { decodeChallengeAnswer, encodeHandshakeFrame, isRightAnswer } from "./relay-handshake.ts";

const challenge = new Uint8Array(16).fill(7);
const peer = SecretKey.generate().publicKey;

/** A relay that does what a test says. */
class ScriptedRelay {
  readonly platform = new VirtualPlatform(1);
  readonly channels: MemoryChannels;
  readonly key = SecretKey.generate();
  readonly frames: ClientFrame[] = [];
  /** Moments at which a connection was asked for. */
  readonly attempts: number[] = [];
  subprotocol = "iroh-relay-v2";
  answersPings = true;
  /** The last message of the handshake; none: it stays silent. */
  verdict: Uint8Array | undefined = encodeHandshakeFrame({ type: "confirmed" });
  /** Why it does not even upgrade. */
  refusal: string | undefined;
  channel: MemoryChannel | undefined;
  request: { readonly url: URL; readonly options: MessageChannelOptions } | undefined;
  readonly states: RelayClientState[] = [];
  readonly received: { from: EndpointId; bytes: Uint8Array; segmentSize: number }[] = [];
  readonly gone: EndpointId[] = [];
  readonly client: RelayClient;

  constructor({ bytesPerMs = Number.POSITIVE_INFINITY, url = "http://relay.test" } = {}) {
    const { platform } = this;
    this.channels = new MemoryChannels({
      platform,
      latencyMs: 10,
      bytesPerMs,
      accept: ({ url: to, options, channel }) => {
        this.attempts.push(platform.now());
        this.request = { url: to, options };
        if (this.refusal !== undefined) {
          throw new Error(this.refusal);
        }
        this.channel = channel;
        return { subprotocol: this.subprotocol, handler: this.#serve(channel) };
      },
    });
    this.client = new RelayClient({
      url: parseRelayUrl(url),
      secretKey: this.key,
      platform,
      openChannel: this.channels.open,
      authToken: "sesame",
      handler: {
        datagrams: (from, bytes, segmentSize) => this.received.push({ from, bytes, segmentSize }),
        endpointGone: (id) => this.gone.push(id),
        stateChanged: (state) => this.states.push(state),
      },
    });
  }

  #serve(channel: MemoryChannel): MessageChannelHandler {
    let authenticated = false;
    return {
      opened: () => channel.send(encodeHandshakeFrame({ type: "challenge", challenge })),
      message: (bytes) => {
        if (!authenticated) {
          const answer = decodeChallengeAnswer(bytes);
          assert.ok(isRightAnswer(challenge, answer));
          assert.ok(answer.id.equals(this.key.publicKey));
          authenticated = true;
          if (this.verdict !== undefined) {
            channel.send(this.verdict);
          }
          return;
        }
        const frame = decodeClientFrame(bytes);
        this.frames.push(frame);
        if (frame.type === "ping" && this.answersPings) {
          channel.send(encodeRelayFrame({ type: "pong", data: frame.data }));
        }
      },
      drained: () => {},
      closed: () => {},
    };
  }

  send(frame: RelayFrame): void {
    this.channel?.send(encodeRelayFrame(frame));
  }

  breakLink(): void {
    for (const link of this.channels.links) {
      link.break(new Error("connection reset"));
    }
  }

  /** Until the client is in a state of that type. */
  until(type: RelayClientState["type"], limitMs?: number): void {
    const reached = this.platform.run(() => this.client.state.type === type, limitMs);
    assert.ok(reached, `the client is ${this.client.state.type}, not ${type}`);
  }

  get datagrams(): DatagramsFrame[] {
    return this.frames.filter((frame) => frame.type === "datagrams");
  }

  ofType(type: "ping" | "pong"): PingFrame[] {
    return this.frames.flatMap((frame) => (frame.type === type ? [frame] : []));
  }
}

function waitingState(relay: ScriptedRelay): Extract<RelayClientState, { type: "waiting" }> {
  const { state } = relay.client;
  assert.equal(state.type, "waiting");
  return state as Extract<RelayClientState, { type: "waiting" }>;
}

test("a client connects, with the token, and tells what it is doing", () => {
  const relay = new ScriptedRelay({ url: "https://relay.test./some/path?region=eu" });
  assert.deepEqual(relay.client.state, { type: "connecting", attempt: 1 });
  relay.until("connected");
  assert.deepEqual(relay.states, [{ type: "connected", health: "healthy" }]);
  assert.equal(relay.request?.url.href, "wss://relay.test./relay?region=eu");
  assert.deepEqual(relay.request?.options.subprotocols, ["iroh-relay-v2", "iroh-relay-v1"]);
  assert.deepEqual(relay.request?.options.headers, { authorization: "Bearer sesame" });
  assert.equal(relay.client.latencyMs, undefined);
  relay.platform.runFor(100);
  assert.equal(relay.client.latencyMs, 20);
});

test("datagrams go both ways, batches too", () => {
  const relay = new ScriptedRelay();
  relay.until("connected");
  relay.client.send(peer, Uint8Array.of(1, 2, 3), 3);
  relay.client.send(peer, Uint8Array.of(1, 2, 3, 4, 5), 2);
  relay.platform.runFor(50);
  assert.deepEqual(
    relay.datagrams.map(({ peer: to, segmentSize, contents }) => ({
      to: encodeHex(to),
      segmentSize,
      contents: [...contents],
    })),
    [
      { to: peer.toString(), segmentSize: undefined, contents: [1, 2, 3] },
      { to: peer.toString(), segmentSize: 2, contents: [1, 2, 3, 4, 5] },
    ],
  );
  const datagrams = { type: "datagrams", peer: peer.bytes, ecn: 0 } as const;
  relay.send({ ...datagrams, segmentSize: undefined, contents: Uint8Array.of(9) });
  relay.send({ ...datagrams, segmentSize: 2, contents: Uint8Array.of(8, 8, 7) });
  relay.send({ type: "endpoint-gone", peer: peer.bytes });
  relay.platform.runFor(50);
  assert.deepEqual(
    relay.received.map(({ from, bytes, segmentSize }) => [
      from.equals(peer),
      [...bytes],
      segmentSize,
    ]),
    [
      [true, [9], 1],
      [true, [8, 8, 7], 2],
    ],
  );
  assert.ok(relay.gone[0]?.equals(peer));
  assert.deepEqual(relay.client.stats(), {
    bytesSent: 8,
    bytesReceived: 4,
    datagramsSent: 4,
    datagramsReceived: 3,
    dropped: 0,
  });
});

test("what is sent before the connection is there goes out in order, unless it is 3 s old or too much", () => {
  const relay = new ScriptedRelay();
  relay.channels.reachable = false;
  relay.client.send(peer, Uint8Array.of(1), 1);
  relay.platform.runFor(9_000);
  relay.client.send(peer, Uint8Array.of(2), 1);
  relay.client.send(peer, Uint8Array.of(3), 1);
  relay.channels.reachable = true;
  relay.until("connected", 3_000);
  relay.platform.runFor(50);
  assert.deepEqual(
    relay.datagrams.map(({ contents }) => contents[0]),
    [2, 3],
  );
  assert.equal(relay.client.stats().dropped, 1);
});

test("F7: a relay that does not read makes a client drop, not grow", () => {
  const relay = new ScriptedRelay();
  relay.until("connected");
  relay.channel?.pause();
  for (let count = 0; count < 2_000; count += 1) {
    relay.client.send(peer, new Uint8Array(1_200), 1_200);
  }
  const { datagramsSent, dropped } = relay.client.stats();
  assert.ok(datagramsSent > 50 && datagramsSent < 150, `${datagramsSent} sent`);
  assert.ok(dropped > 1_400, `${dropped} dropped`);
  relay.platform.runFor(1_000);
  relay.channel?.resume();
  relay.platform.runFor(1_000);
  const { datagramsSent: sent, dropped: lost } = relay.client.stats();
  assert.equal(sent + lost, 2_000);
  assert.equal(relay.datagrams.length, sent);
  relay.client.send(peer, new Uint8Array(1_200), 1_200);
  assert.equal(relay.client.stats().datagramsSent, sent + 1);
});

test("what no frame can carry is dropped and counted", () => {
  const relay = new ScriptedRelay();
  relay.until("connected");
  relay.client.send(peer, new Uint8Array(65_503), 65_503);
  relay.client.send(peer, new Uint8Array(0), 1_200);
  assert.deepEqual([relay.client.stats().datagramsSent, relay.client.stats().dropped], [0, 1]);
  relay.client.send(peer, new Uint8Array(140_000), 1_200);
  relay.platform.runFor(1_000);
  const frames = relay.datagrams;
  assert.deepEqual(
    frames.map(({ segmentSize, contents }) => [segmentSize, contents.length]),
    [
      [1_200, 64_800],
      [1_200, 64_800],
      [1_200, 10_400],
    ],
  );
});

test("a client that cannot connect waits longer each time, up to 16 s, and never the same", () => {
  const relay = new ScriptedRelay();
  relay.refusal = "503 Service Unavailable";
  relay.platform.runFor(300_000);
  const waits = relay.states.flatMap((state) => (state.type === "waiting" ? [state] : []));
  for (const [index, { attempt, delayMs, error }] of waits.entries()) {
    const full = Math.min(10 * 2 ** index, 16_000);
    assert.ok(delayMs >= full / 2 && delayMs <= full, `${delayMs} after ${index}`);
    assert.equal(attempt, index + 2);
    assert.equal(error.code, "unreachable");
    assert.match(error.message, /503/);
  }
  assert.ok(waits.length > 25 && waits.length < 50, `${waits.length} attempts`);
  assert.equal(new Set(waits.map(({ delayMs }) => delayMs)).size, waits.length);
  relay.refusal = undefined;
  relay.until("connected", 20_000);
});

test("F21: a client does not wait for an answer, or for the end of a handshake, longer than 10 s", () => {
  const relay = new ScriptedRelay();
  relay.channels.reachable = false;
  relay.until("waiting", 10_001);
  assert.equal(waitingState(relay).error.message, "the relay did not connect within 10 s");
  relay.channels.reachable = true;
  relay.verdict = undefined;
  relay.until("connecting");
  relay.until("waiting", 10_001);
  assert.equal(waitingState(relay).error.code, "timeout");
  assert.equal(
    waitingState(relay).error.message,
    "the relay did not end the handshake within 10 s",
  );
});

test("F21: a relay that is gone without a word is found out in 20 s when idle", () => {
  const relay = new ScriptedRelay();
  relay.until("connected");
  relay.platform.runFor(60_000);
  assert.equal(relay.client.state.type, "connected");
  for (const link of relay.channels.links) {
    link.cut();
  }
  relay.until("waiting", 20_000);
  assert.equal(waitingState(relay).error.code, "timeout");
  relay.until("connected", 1_000);
});

test("F21: a relay that is gone without a word is found out in 4 s when something is sent", () => {
  const relay = new ScriptedRelay();
  relay.until("connected");
  relay.platform.runFor(5_000);
  for (const link of relay.channels.links) {
    link.cut();
  }
  relay.client.send(peer, Uint8Array.of(1), 1);
  relay.until("waiting", 4_000);
  relay.until("connected", 1_000);
});

test("F20: any frame is a sign of life, also when a pong is missing", () => {
  const relay = new ScriptedRelay();
  relay.until("connected");
  relay.answersPings = false;
  for (let second = 0; second < 60; second += 2) {
    relay.platform.runFor(2_000);
    relay.send({
      type: "datagrams",
      peer: peer.bytes,
      ecn: 0,
      segmentSize: undefined,
      contents: Uint8Array.of(1),
    });
    relay.client.send(peer, Uint8Array.of(1), 1);
  }
  assert.equal(relay.client.state.type, "connected");
  relay.until("waiting", 21_000);
});

test("an idle client pings every 15 s", () => {
  const relay = new ScriptedRelay();
  relay.until("connected");
  relay.platform.runFor(151_000);
  const pings = relay.ofType("ping").length;
  assert.ok(pings >= 10 && pings <= 12, `${pings} pings`);
});

test("a ping of the relay is answered", () => {
  const relay = new ScriptedRelay();
  relay.until("connected");
  relay.send({ type: "ping", data: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) });
  relay.platform.runFor(50);
  assert.deepEqual([...(relay.ofType("pong")[0]?.data ?? [])], [1, 2, 3, 4, 5, 6, 7, 8]);
});

test("F21: after a network change a dead connection is found out within 2 s, and a live one is kept", () => {
  const relay = new ScriptedRelay();
  relay.until("connected");
  relay.client.networkChanged();
  relay.platform.runFor(10_000);
  assert.deepEqual(relay.states, [{ type: "connected", health: "healthy" }]);
  for (const link of relay.channels.links) {
    link.cut();
  }
  relay.client.networkChanged();
  relay.until("waiting", 2_000);
});

test("after a network change a waiting client connects at once, and one that connects does so anew", () => {
  const relay = new ScriptedRelay();
  relay.refusal = "502";
  relay.platform.runFor(60_000);
  relay.until("waiting");
  const attempts = relay.attempts.length;
  relay.refusal = undefined;
  relay.client.networkChanged();
  relay.until("connected", 100);
  assert.equal(relay.attempts.length, attempts + 1);

  const other = new ScriptedRelay();
  other.channels.reachable = false;
  other.platform.runFor(500);
  other.client.networkChanged();
  other.channels.reachable = true;
  other.platform.runFor(1_000);
  assert.equal(other.client.state.type, "connecting");
  other.client.networkChanged();
  other.until("connected", 100);
});

test("F21: a lost connection is back at once, and again when it is lost again", () => {
  const relay = new ScriptedRelay();
  for (let round = 0; round < 5; round += 1) {
    relay.until("connected", 100);
    relay.platform.runFor(2_000);
    relay.breakLink();
    relay.until("waiting", 100);
    assert.equal(waitingState(relay).error.code, "lost");
    assert.match(waitingState(relay).error.message, /connection reset/);
  }
});

test("a relay that lets a client in and hangs up is not asked all the time", () => {
  const relay = new ScriptedRelay();
  const { platform } = relay;
  const end = platform.now() + 60_000;
  while (platform.now() < end) {
    relay.until("connected");
    platform.runFor(100);
    relay.breakLink();
    relay.until("waiting");
  }
  assert.ok(relay.attempts.length < 20, `${relay.attempts.length} attempts`);
});

test("a denied client says why and asks seldom", () => {
  const relay = new ScriptedRelay();
  relay.verdict = encodeHandshakeFrame({ type: "denied", reason: "not authorized" });
  relay.until("waiting");
  const { error, delayMs } = waitingState(relay);
  assert.equal(error.code, "denied");
  assert.equal(error.message, 'the relay denies access: "not authorized"');
  assert.ok(delayMs >= 2_500);
  relay.platform.runFor(600_000);
  assert.ok(relay.attempts.length < 25, `${relay.attempts.length} attempts`);
  relay.verdict = encodeHandshakeFrame({ type: "confirmed" });
  relay.until("connected", 61_000);
});

test("a subprotocol that nobody asked for ends the connection", () => {
  const relay = new ScriptedRelay();
  relay.subprotocol = "iroh-relay-v3";
  relay.until("waiting");
  assert.match(waitingState(relay).error.message, /the relay speaks "iroh-relay-v3"/);
});

test("a frame that has no place ends the connection, and another is made", () => {
  for (const bad of ["", "02", "0b6f6b", `06${"02".padEnd(64, "0")}00ff`, "0c00"]) {
    const relay = new ScriptedRelay();
    relay.until("connected");
    relay.channel?.send(decodeHex(bad));
    relay.until("waiting", 100);
    assert.equal(waitingState(relay).error.code, "invalid-frame");
    relay.until("connected", 1_000);
  }
});

test("F30: random messages of a relay end the connection at worst, and nothing is thrown", () => {
  const relay = new ScriptedRelay();
  const message = fc
    .tuple(fc.integer({ min: 0, max: 15 }), fc.uint8Array({ maxLength: 60 }))
    .map(([type, rest]) => Uint8Array.of(type, ...rest));
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
      relay.until("connected");
      for (const bytes of messages) {
        relay.channel?.send(bytes);
      }
      relay.platform.runFor(100);
      assert.notEqual(relay.client.state.type, "closed");
    }),
    { numRuns: 500 },
  );
});

test("a relay that invents senders gets a client to look at 1,000 of them and 200 more a second", () => {
  const relay = new ScriptedRelay();
  relay.until("connected");
  const contents = Uint8Array.of(1);
  for (let count = 0; count < 3_000; count += 1) {
    const { bytes } = SecretKey.generate().publicKey;
    relay.send({ type: "datagrams", peer: bytes, ecn: 0, segmentSize: undefined, contents });
  }
  relay.platform.runFor(50);
  assert.ok(relay.received.length >= 1_000 && relay.received.length < 1_100);
  relay.send({ type: "datagrams", peer: peer.bytes, ecn: 0, segmentSize: undefined, contents });
  relay.platform.runFor(1_000);
  relay.send({ type: "datagrams", peer: peer.bytes, ecn: 0, segmentSize: undefined, contents });
  relay.platform.runFor(50);
  assert.ok(relay.received.at(-1)?.from.equals(peer));
});

test("F26: the health that a relay tells of shows in the state, once for each change", () => {
  const relay = new ScriptedRelay();
  relay.until("connected");
  for (const status of [1, 1, 77, 0, 2, 0]) {
    relay.send({ type: "status", status });
  }
  relay.platform.runFor(100);
  assert.deepEqual(
    relay.states.map((state) => (state.type === "connected" ? state.health : state.type)),
    ["healthy", "same-id-elsewhere", "healthy", "rate-limited", "healthy"],
  );
});

test("F26: version 1 tells of health in words", () => {
  const relay = new ScriptedRelay();
  relay.subprotocol = "iroh-relay-v1";
  relay.until("connected");
  for (const text of [
    "Another endpoint connected with the same endpoint id. No more messages will be received.",
    "something else",
    "The connection is healthy and has recovered from previous problems",
  ]) {
    relay.send({ type: "health", text });
  }
  relay.platform.runFor(100);
  assert.deepEqual(
    relay.states.map((state) => (state.type === "connected" ? state.health : state.type)),
    ["healthy", "same-id-elsewhere", "healthy"],
  );
});

test("a relay that restarts is left alone as long as it asks for, then tried hard", () => {
  const relay = new ScriptedRelay();
  relay.until("connected");
  relay.platform.runFor(2_000);
  relay.send({ type: "restarting", reconnectInMs: 3_000, tryForMs: 20_000 });
  relay.platform.runFor(100);
  assert.equal(relay.client.state.type, "connected");
  relay.refusal = "503";
  relay.breakLink();
  relay.until("waiting");
  const { delayMs } = waitingState(relay);
  assert.ok(delayMs > 2_800 && delayMs < 6_100, `${delayMs} ms`);
  const before = relay.attempts.length;
  relay.platform.runFor(15_000);
  const tried = relay.attempts.length - before;
  assert.ok(tried > 15, `${tried} attempts`);
  relay.refusal = undefined;
  relay.until("connected", 600);
});

test("no relay can make a client stay away for hours", () => {
  const relay = new ScriptedRelay();
  relay.until("connected");
  relay.send({ type: "restarting", reconnectInMs: 0xffff_ffff, tryForMs: 0xffff_ffff });
  relay.platform.runFor(100);
  relay.breakLink();
  relay.until("waiting");
  relay.until("connected", 121_000);
});

test("F5, F27: a closed client leaves nothing behind and says nothing more", () => {
  for (const moment of ["connecting", "connected", "waiting"] as const) {
    const relay = new ScriptedRelay();
    if (moment === "waiting") {
      relay.refusal = "503";
    }
    relay.until(moment);
    relay.client.close();
    relay.client.close();
    assert.deepEqual(relay.client.state, { type: "closed" });
    const { length } = relay.states;
    relay.client.send(peer, Uint8Array.of(1), 1);
    relay.client.networkChanged();
    relay.platform.runFor(100_000);
    assert.equal(relay.states.length, length);
    assert.deepEqual(relay.states.at(-1), { type: "closed" });
    assert.equal(relay.channels.links.size, 0);
    assert.equal(relay.client.stats().datagramsSent, 0);
  }
});

test("a client may be closed by what it tells", () => {
  const platform = new VirtualPlatform(1);
  const channels = new MemoryChannels({
    platform,
    accept: () => {
      throw new Error("no");
    },
  });
  const client: RelayClient = new RelayClient({
    url: parseRelayUrl("http://relay.test"),
    secretKey: SecretKey.generate(),
    platform,
    openChannel: channels.open,
    handler: {
      datagrams: () => {},
      endpointGone: () => {},
      stateChanged: (state) => {
        if (state.type === "connecting") {
          client.close();
        }
      },
    },
  });
  platform.runFor(60_000);
  assert.equal(client.state.type, "closed");
  assert.equal(channels.links.size, 0);
});
