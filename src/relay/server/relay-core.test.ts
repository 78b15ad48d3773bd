import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { relayHandshakeVectors, relayHttpVectors } from "../../../test/vectors/relay-vectors.ts";
import { decodeHex, encodeHex } from "../../base/hex.ts";
import type { EndpointId } from "../../identity/endpoint-id.ts";
import { parseRelayUrl } from "../../identity/relay-url.ts";
import { SecretKey } from "../../identity/secret-key.ts";
import { MemoryChannels } from "../../testing/memory-channel.ts";
import { acceptAtRelay } from "../../testing/memory-relay.ts";
import { VirtualPlatform } from "../../testing/virtual-platform.ts";
import type { MessageChannel } from "../message-channel.ts";
import { RelayClient, type RelayClientState } from "../relay-client.ts";
import { decodeRelayFrame, encodeClientFrame, type RelayFrame } from "../relay-frame.ts";
import { answerChallenge } from "../relay-handshake.ts";
import { type AuthorizeRelayClient, allowIds, denyIds, requireToken } from "./relay-access.ts";
import { RelayCore } from "./relay-core.ts";
import type { RelayLimits } from "./relay-limits.ts";

class TestRelay {
  readonly platform = new VirtualPlatform(3);
  readonly core: RelayCore;
  readonly channels: MemoryChannels;

  constructor(
    limits: Partial<RelayLimits> = {},
    authorize?: AuthorizeRelayClient,
    bytesPerMs = Number.POSITIVE_INFINITY,
  ) {
    const { platform } = this;
    this.core = new RelayCore({ platform, limits, authorize });
    this.channels = new MemoryChannels({
      platform,
      latencyMs: 1,
      bytesPerMs,
      accept: acceptAtRelay(this.core),
    });
  }

  /** A client that speaks the protocol by hand. */
  raw(
    options: {
      key?: SecretKey;
      version?: 1 | 2;
      silent?: boolean;
      target?: string;
      headers?: Record<string, string>;
    } = {},
  ): RawClient {
    return new RawClient(this, options);
  }

  /** One of ours. */
  client(key = SecretKey.generate()): TestClient {
    return new TestClient(this, key);
  }

  settle(): void {
    this.platform.runFor(20);
  }
}

class RawClient {
  readonly key: SecretKey;
  readonly id: EndpointId;
  readonly channel: MessageChannel;
  readonly messages: Uint8Array[] = [];
  readonly #version: 1 | 2;
  closed = false;
  admitted = false;

  constructor(
    relay: TestRelay,
    {
      key = SecretKey.generate(),
      version = 2,
      silent = false,
      target = "",
      headers = {},
    }: NonNullable<Parameters<TestRelay["raw"]>[0]>,
  ) {
    this.key = key;
    this.id = key.publicKey;
    this.#version = version;
    this.channel = relay.channels.open(
      new URL(`ws://relay.test/relay${target}`),
      { subprotocols: [`iroh-relay-v${version}`], headers, timeoutMs: 1_000, maxMessageBytes: 1e6 },
      {
        opened: () => {},
        message: (bytes) => {
          if (!this.admitted && bytes[0] === 0 && !silent) {
            this.channel.send(answerChallenge(bytes.subarray(1), key));
          } else if (!this.admitted && bytes[0] === 2) {
            this.admitted = true;
          } else {
            this.messages.push(bytes);
          }
        },
        drained: () => {},
        closed: () => {
          this.closed = true;
        },
      },
    );
    relay.settle();
  }

  get frames(): RelayFrame[] {
    return this.messages.map((message) => decodeRelayFrame(message, this.#version));
  }

  send(to: EndpointId, contents: Uint8Array, segmentSize?: number): void {
    this.channel.send(
      encodeClientFrame({ type: "datagrams", peer: to.bytes, ecn: 0, segmentSize, contents }),
    );
  }

  sendHex(hex: string): void {
    this.channel.send(decodeHex(hex));
  }
}

class TestClient {
  readonly key: SecretKey;
  readonly states: RelayClientState[] = [];
  readonly received: {
    readonly from: string;
    readonly bytes: Uint8Array;
    readonly segmentSize: number;
  }[] = [];
  readonly gone: string[] = [];
  readonly client: RelayClient;

  constructor(relay: TestRelay, key: SecretKey) {
    this.key = key;
    this.client = new RelayClient({
      url: parseRelayUrl("http://relay.test"),
      secretKey: key,
      platform: relay.platform,
      openChannel: relay.channels.open,
      handler: {
        datagrams: (from, bytes, segmentSize) =>
          this.received.push({ from: from.toString(), bytes, segmentSize }),
        endpointGone: (id) => this.gone.push(id.toString()),
        stateChanged: (state) => this.states.push(state),
      },
    });
    relay.settle();
  }

  get id(): EndpointId {
    return this.key.publicKey;
  }

  get healths(): string[] {
    return this.states.map((state) => (state.type === "connected" ? state.health : state.type));
  }
}

test("a relay hands datagrams on, in order, with their sender", () => {
  const relay = new TestRelay();
  const [a, b] = [relay.client(), relay.client()];
  for (let index = 0; index < 100; index += 1) {
    a.client.send(b.id, Uint8Array.of(index, 1, 2), index % 2 === 0 ? 3 : 2);
  }
  b.client.send(b.id, Uint8Array.of(7), 1);
  relay.settle();
  assert.deepEqual(
    b.received
      .filter(({ from }) => from === a.id.toString())
      .map(({ bytes, segmentSize }) => [bytes[0], segmentSize]),
    Array.from({ length: 100 }, (_, index) => [index, index % 2 === 0 ? 3 : 2]),
  );
  assert.equal(b.received.filter(({ from }) => from === b.id.toString()).length, 1);
  assert.equal(relay.core.metrics.framesSent, 101);
  assert.equal(relay.core.metrics.bytesReceived, 301);
});

test("any datagrams come out at the other end as they went in", () => {
  const relay = new TestRelay();
  const [a, b] = [relay.raw(), relay.raw()];
  const datagrams = fc.record({
    contents: fc.uint8Array({ minLength: 1, maxLength: 100 }),
    ecn: fc.integer({ min: 0, max: 255 }),
    segmentSize: fc.option(fc.integer({ min: 0, max: 0xffff }), { nil: undefined }),
    longType: fc.boolean(),
  });
  fc.assert(
    fc.property(datagrams, ({ contents, ecn, segmentSize, longType }) => {
      b.messages.length = 0;
      const type = segmentSize === undefined ? 4 : 5;
      a.channel.send(
        Uint8Array.of(
          ...(longType ? [0x40, type] : [type]),
          ...b.id.bytes,
          ecn,
          ...(segmentSize === undefined ? [] : [segmentSize >> 8, segmentSize & 0xff]),
          ...contents,
        ),
      );
      relay.settle();
      assert.deepEqual(
        b.frames.map((frame) =>
          frame.type === "datagrams" ? { ...frame, peer: encodeHex(frame.peer) } : frame,
        ),
        [
          {
            type: "datagrams",
            peer: a.id.toString(),
            ecn: ecn & 3,
            segmentSize: segmentSize === 0 ? undefined : segmentSize,
            contents,
          },
        ],
      );
    }),
    { numRuns: 300 },
  );
});

test("frames that would end the receiver's connection are dropped at the entry", () => {
  const relay = new TestRelay();
  const [a, b] = [relay.raw(), relay.raw()];
  const head = Uint8Array.of(4, ...b.id.bytes, 0);
  const batchHead = Uint8Array.of(5, ...b.id.bytes, 0, 4, 0);
  for (const poison of [
    head,
    batchHead,
    Uint8Array.of(...head, ...new Uint8Array(65_503)),
    Uint8Array.of(...batchHead, ...new Uint8Array(65_501)),
  ]) {
    a.channel.send(poison);
  }
  a.send(b.id, Uint8Array.of(1));
  relay.settle();
  assert.equal(b.frames.length, 1);
  assert.ok(!a.closed && !b.closed);
  assert.equal(relay.core.metrics.framesDropped, 4);
});

test("what is sent to nobody is dropped without an answer, also where the id is no key", () => {
  const relay = new TestRelay();
  const a = relay.raw();
  a.send(SecretKey.generate().publicKey, Uint8Array.of(1));
  a.sendHex(`04${"02".padEnd(64, "0")}0061`);
  relay.settle();
  assert.ok(!a.closed);
  assert.equal(a.messages.length, 0);
  assert.equal(relay.core.metrics.framesDropped, 2);
});

test("a frame that a client may not send ends its connection, and no other", () => {
  const relay = new TestRelay();
  const b = relay.raw();
  for (const bad of ["", "40", "0e01", "02", "0900", `06${b.id.toString()}0061`, "0d00"]) {
    const a = relay.raw();
    a.sendHex(bad);
    relay.settle();
    assert.ok(a.closed, bad);
  }
  assert.ok(!b.closed);
  assert.equal(relay.core.clients, 1);
});

test("F30: random messages of a client end its own connection at worst", () => {
  const relay = new TestRelay();
  const b = relay.raw();
  const message = fc
    .tuple(fc.integer({ min: 0, max: 15 }), fc.uint8Array({ maxLength: 60 }))
    .map(([type, rest]) => Uint8Array.of(type, ...rest));
  let a = relay.raw();
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), (messages) => {
      for (const bytes of messages) {
        a.channel.send(bytes);
      }
      relay.settle();
      if (a.closed) {
        a = relay.raw();
        assert.ok(a.admitted);
      }
      assert.ok(!b.closed);
    }),
    { numRuns: 300 },
  );
});

test("a ping is answered", () => {
  const relay = new TestRelay();
  const a = relay.raw();
  a.sendHex("090102030405060708");
  relay.settle();
  assert.deepEqual(a.messages.map(encodeHex), ["0a0102030405060708"]);
  assert.equal(relay.core.metrics.pongsSent, 1);
});

test("F21: a client that answers neither the challenge nor a ping is closed", () => {
  const relay = new TestRelay();
  const silent = relay.raw({ silent: true });
  relay.platform.runFor(9_900);
  assert.ok(!silent.closed);
  relay.platform.runFor(200);
  assert.ok(silent.closed);
  assert.equal(relay.core.metrics.handshakesFailed, 1);

  const idle = relay.raw();
  relay.platform.runFor(14_900);
  assert.equal(idle.messages.length, 0);
  relay.platform.runFor(10_500);
  assert.deepEqual(
    idle.frames.map(({ type }) => type),
    ["ping"],
  );
  assert.ok(idle.closed);
  assert.equal(relay.core.connections, 0);
});

test("a handshake ends as at iroh's relay", () => {
  for (const { change, name, server_sends_after, result } of relayHandshakeVectors.server_cases) {
    const relay = new TestRelay();
    const client = relay.raw({ silent: true });
    const challenge = client.messages.shift()?.subarray(1) ?? new Uint8Array(0);
    const right = answerChallenge(challenge, client.key);
    const answer = alteredAnswer(change, right, client.key, challenge);
    if (answer === undefined) {
      client.channel.close();
    } else {
      client.channel.send(answer);
    }
    relay.settle();
    relay.platform.runFor(100);
    assert.equal(client.admitted, result === "authenticated", name);
    assert.equal(client.closed, result !== "authenticated", name);
    assert.deepEqual(client.messages.map(encodeHex), server_sends_after, name);
  }
});

test("a message before the decision ends the connection", () => {
  const relay = new TestRelay({}, () => new Promise(() => {}));
  const client = relay.raw();
  client.sendHex("090102030405060708");
  relay.settle();
  assert.ok(client.closed);
});

test("who is let in is decided by list, token or hook", async () => {
  const [one, other] = [SecretKey.generate(), SecretKey.generate()];
  const denied = (reason: string): string =>
    `03${encodeHex(Uint8Array.of(reason.length, ...new TextEncoder().encode(reason)))}`;
  const cases: readonly (readonly [AuthorizeRelayClient, SecretKey, string | undefined])[] = [
    [allowIds([one.publicKey]), one, undefined],
    [allowIds([one.publicKey]), other, "not authorized"],
    [denyIds([one.publicKey]), one, "not authorized"],
    [denyIds([one.publicKey]), other, undefined],
    [({ id }) => id.equals(one.publicKey) || "come back later", other, "come back later"],
    [() => Promise.resolve(true), one, undefined],
    [() => Promise.reject(new Error("the database is down")), one, "not authorized"],
    [
      () => {
        throw new Error("a mistake");
      },
      one,
      "not authorized",
    ],
  ];
  for (const [authorize, key, reason] of cases) {
    const relay = new TestRelay({}, authorize);
    const client = relay.raw({ key });
    await relay.platform.runAsync(() => client.admitted || client.closed, 100);
    assert.equal(client.admitted, reason === undefined);
    assert.deepEqual(client.messages.map(encodeHex), reason === undefined ? [] : [denied(reason)]);
  }
});

test("tokens come by header or query, as at iroh's relay", async () => {
  for (const { query, authorization, last_handshake_frame } of relayHttpVectors.access_tokens) {
    const relay = new TestRelay({}, requireToken(["tok-a", "tok b"]));
    const client = relay.raw({
      target: query === null ? "" : `?${query}`,
      headers: authorization === null ? {} : { authorization },
    });
    await relay.platform.runAsync(() => client.admitted || client.closed, 100);
    const last = client.admitted ? "02" : encodeHex(client.messages.at(-1) ?? new Uint8Array(0));
    assert.equal(last, last_handshake_frame, `${query} ${authorization}`);
  }
});

test("a hook that never answers lets nobody in, and holds nobody", () => {
  const relay = new TestRelay({}, () => new Promise(() => {}));
  const client = relay.raw();
  relay.platform.runFor(11_000);
  assert.ok(client.closed && !client.admitted);
  assert.equal(relay.core.connections, 0);
});

test("F26: the newest connection of an id receives, the one before it takes over again, and both are told", () => {
  const relay = new TestRelay();
  const key = SecretKey.generate();
  const sender = relay.client();
  const first = relay.client(key);
  const second = relay.client(key);
  assert.deepEqual(first.healths, ["healthy", "same-id-elsewhere"]);
  sender.client.send(key.publicKey, Uint8Array.of(1), 1);
  first.client.send(sender.id, Uint8Array.of(2), 1);
  relay.settle();
  assert.deepEqual([first.received.length, second.received.length], [0, 1]);
  assert.equal(sender.received.length, 1);
  second.client.close();
  relay.settle();
  assert.deepEqual(first.healths, ["healthy", "same-id-elsewhere", "healthy"]);
  sender.client.send(key.publicKey, Uint8Array.of(3), 1);
  relay.settle();
  assert.equal(first.received.length, 1);
  assert.deepEqual(sender.gone, []);
  relay.platform.runFor(60_000);
  assert.equal(relay.core.metrics.accepts, 3);
  assert.equal(relay.core.metrics.inactiveAdded, 1);
  assert.equal(relay.core.metrics.inactiveRemoved, 1);
});

test("version 1 is told the same in words", () => {
  const relay = new TestRelay();
  const key = SecretKey.generate();
  const first = relay.raw({ key, version: 1 });
  const second = relay.raw({ key, version: 1 });
  second.channel.close();
  relay.settle();
  assert.deepEqual(
    first.frames.map((frame) => (frame.type === "health" ? frame.text : frame.type)),
    [
      "Another endpoint connected with the same endpoint id. No more messages will be received.",
      "The connection is healthy and has recovered from previous problems",
    ],
  );
});

test("an id has a bounded number of connections: the oldest goes", () => {
  const relay = new TestRelay({ maxConnectionsPerId: 3 });
  const key = SecretKey.generate();
  const clients = Array.from({ length: 5 }, () => relay.raw({ key }));
  relay.settle();
  assert.deepEqual(
    clients.map(({ closed }) => closed),
    [true, true, false, false, false],
  );
  assert.equal(relay.core.connections, 3);
});

test("peers that a client has sent to hear when it is gone, others do not", () => {
  const relay = new TestRelay();
  const [a, b, c] = [relay.client(), relay.client(), relay.client()];
  a.client.send(b.id, Uint8Array.of(1), 1);
  c.client.send(a.id, Uint8Array.of(1), 1);
  relay.settle();
  a.client.close();
  relay.settle();
  assert.deepEqual([b.gone, c.gone], [[a.id.toString()], []]);
});

test("F7: a client that does not read costs bounded memory, delays nobody else, and is closed", () => {
  const relay = new TestRelay({ maxQueuedBytes: 100_000, maxQueuedFrames: 50 });
  const [sender, lazy, quick] = [relay.raw(), relay.raw(), relay.raw()];
  lazy.channel.pause();
  for (let round = 0; round < 100; round += 1) {
    sender.send(lazy.id, new Uint8Array(10_000));
    sender.send(quick.id, new Uint8Array(10_000));
    relay.settle();
  }
  assert.equal(quick.frames.length, 100);
  assert.ok(relay.core.queuedBytes <= 100_000, `${relay.core.queuedBytes} bytes`);
  assert.ok(relay.core.metrics.framesDropped >= 80);
  relay.platform.runFor(10_000);
  assert.ok(lazy.closed && !quick.closed && !sender.closed);
  assert.equal(relay.core.queuedBytes, 0);
});

test("frames of all sizes are counted: many small ones do not get around the limit", () => {
  const relay = new TestRelay({ maxQueuedFrames: 50 });
  const [sender, lazy] = [relay.raw(), relay.raw()];
  lazy.channel.pause();
  sender.send(lazy.id, new Uint8Array(65_502));
  for (let count = 0; count < 1_000; count += 1) {
    sender.send(lazy.id, Uint8Array.of(1));
    sender.sendHex("090102030405060708");
  }
  relay.settle();
  assert.equal(relay.core.metrics.framesDropped, 950);
});

test("pings of a client that does not read its pongs pile up to a limit", () => {
  const relay = new TestRelay();
  const lazy = relay.raw();
  lazy.channel.pause();
  for (let count = 0; count < 20_000; count += 1) {
    lazy.sendHex("090102030405060708");
  }
  relay.settle();
  const { pingsReceived, pongsSent } = relay.core.metrics;
  assert.equal(pingsReceived, 20_000);
  assert.ok(pongsSent < 8_000, `${pongsSent}`);
});

test("a slow client gets all that fits, in order", () => {
  const relay = new TestRelay({}, undefined, 50);
  const [a, b] = [relay.raw(), relay.raw()];
  relay.platform.runFor(1_000);
  for (let index = 0; index < 100; index += 1) {
    a.send(b.id, new Uint8Array(1_000).fill(index));
  }
  relay.platform.runFor(5_000);
  assert.deepEqual(
    b.frames.map((frame) => (frame.type === "datagrams" ? frame.contents[0] : frame.type)),
    Array.from({ length: 100 }, (_, index) => index),
  );
});

test("F23: a client that reads as slowly as it is sent to is not taken for one that does not read", () => {
  const relay = new TestRelay({}, undefined, 5);
  const [a, b, c] = [relay.client(), relay.client(), relay.client()];
  relay.platform.runFor(1_000);
  for (let count = 0; count < 100; count += 1) {
    for (const { client } of [a, c]) {
      client.send(b.id, new Uint8Array(1_000 - 34), 1_200);
    }
    relay.platform.runFor(390);
  }
  assert.deepEqual(b.healths, ["healthy"]);
  assert.ok(b.received.length > 180, `${b.received.length} datagrams`);
});

test("a client that sends too fast is read no faster than allowed, told once, and loses nothing", () => {
  const relay = new TestRelay({ bytesPerSecond: 10_000, burstBytes: 2_000 });
  const [a, b] = [relay.raw(), relay.raw()];
  for (let count = 0; count < 60; count += 1) {
    a.send(b.id, new Uint8Array(1_000 - 34));
  }
  relay.platform.runFor(3_000);
  const early = b.frames.length;
  assert.ok(early >= 30 && early <= 36, `${early} frames in 3 s`);
  relay.platform.runFor(4_000);
  assert.equal(b.frames.filter(({ type }) => type === "datagrams").length, 60);
  assert.deepEqual(a.frames, [{ type: "status", status: 2 }]);
  assert.equal(relay.core.metrics.connectionsRateLimited, 1);
});

test("a client that is slowed down is not taken for dead", () => {
  const relay = new TestRelay({ bytesPerSecond: 1_000, burstBytes: 1_000 });
  const [a, b] = [relay.raw(), relay.raw()];
  a.send(b.id, new Uint8Array(60_000));
  relay.platform.runFor(58_000);
  assert.ok(!a.closed);
});

test("more connections than allowed are refused", () => {
  const relay = new TestRelay({ maxConnections: 2 });
  const clients = [relay.raw(), relay.raw(), relay.raw()];
  relay.settle();
  assert.deepEqual(
    clients.map(({ closed }) => closed),
    [false, false, true],
  );
  clients[0]?.channel.close();
  relay.settle();
  assert.ok(relay.raw().admitted);
});

test("F6, F21: a relay that restarts tells clients, and they come back", async () => {
  const relay = new TestRelay();
  const clients = [relay.client(), relay.client()];
  relay.platform.runFor(2_000);
  let closed = false;
  void relay.core.close({ restartInMs: 1_000 }).then(() => {
    closed = true;
  });
  await relay.platform.runAsync(() => closed, 1_000);
  assert.ok(closed);
  assert.equal(relay.core.connections, 0);
  for (const { client, states } of clients) {
    assert.equal(client.state.type, "waiting");
    const last = states.at(-1);
    assert.ok(last?.type === "waiting" && last.delayMs > 900 && last.delayMs < 2_100);
  }
  await relay.core.close();
});

test("an id can be thrown out", () => {
  const relay = new TestRelay();
  const [a, b] = [relay.raw(), relay.raw()];
  assert.ok(relay.core.disconnect(a.id));
  assert.ok(!relay.core.disconnect(SecretKey.generate().publicKey));
  relay.settle();
  assert.ok(a.closed && !b.closed);
});

test("F27: clients that come and go leave nothing behind", () => {
  const relay = new TestRelay();
  const peer = relay.raw();
  for (let round = 0; round < 200; round += 1) {
    const client = relay.raw();
    client.send(peer.id, Uint8Array.of(1));
    relay.settle();
    client.channel.close();
    relay.settle();
  }
  assert.deepEqual([relay.core.clients, relay.core.connections, relay.core.queuedBytes], [1, 1, 0]);
  const gone = peer.frames.filter(({ type }) => type === "endpoint-gone").length;
  assert.equal(gone, 200);
});

test("limits that are none are refused", () => {
  const platform = new VirtualPlatform(1);
  assert.throws(() => new RelayCore({ platform, limits: { maxQueuedBytes: -1 } }), {
    name: "RangeError",
    message: "invalid relay limit: maxQueuedBytes is -1, and has to be above 0",
  });
});

test("what a relay has done can be read as OpenMetrics", () => {
  const relay = new TestRelay();
  const [a, b] = [relay.raw(), relay.raw()];
  a.send(b.id, new Uint8Array(10));
  relay.settle();
  const text = relay.core.metrics.toOpenMetrics();
  assert.match(text, /^# TYPE relayserver_bytes_sent counter\nrelayserver_bytes_sent_total 10$/m);
  assert.match(text, /^relayserver_unique_client_keys_total 2$/m);
  assert.ok(text.endsWith("# EOF\n"));
});

/** What the vector's text says is done to the right answer; undefined: the connection is closed instead. */
function alteredAnswer(
  change: string,
  right: Uint8Array,
  key: SecretKey,
  challenge: Uint8Array,
): Uint8Array | undefined {
  const answer = Uint8Array.from(right);
  switch (change) {
    case "unchanged":
      return answer;
    case "byte 40 xor 1":
      answer[40] = (answer[40] ?? 0) ^ 1;
      return answer;
    case "signature over the 16 challenge bytes":
      answer.set(key.sign(challenge), 34);
      return answer;
    case "bytes 1..33 of another key":
      answer.set(SecretKey.generate().publicKey.bytes, 1);
      return answer;
    case "two bytes appended":
      return Uint8Array.of(...answer, 1, 2);
    case "byte 33 removed":
      return Uint8Array.of(...answer.subarray(0, 33), ...answer.subarray(34));
    case "length 63, last byte removed":
      answer[33] = 63;
      return answer.subarray(0, -1);
    case "bytes 1..33 = 02 00..":
      answer.fill(0, 1, 33)[1] = 2;
      return answer;
    case "frame 09 + 8 bytes":
      return decodeHex("090102030405060708");
    case "frame 0e":
      return Uint8Array.of(0x0e);
    case "":
      return undefined;
    default:
      throw new Error(`a change that this test does not know: ${change}`);
  }
}
