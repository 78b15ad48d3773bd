import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  EnginePair,
  type PeerOptions,
  TestPeer,
  testAlpn,
} from "../../../test/support/engine-pair.ts";
import { testCredentials } from "../../../test/support/test-credentials.ts";
import { EngineError, type RawKeyCredentials } from "../engine.ts";

/** RFC 9001 §4.8: a TLS alert as a QUIC error code. */
const alert = (code: number): bigint => BigInt(0x100 + code);
const noApplicationProtocol = alert(120);
/** RFC 9000 §20.1. */
const connectionRefused = 2n;

describe("noq handshakes", () => {
  it("tell each side the other's key and the protocol", () => {
    const pair = new EnginePair({}, { alpns: ["a", "b", "c"] });
    const { local, remote } = pair.connect({ alpns: ["c", "b"] });
    assert.deepEqual(local.info, {
      alpn: "b",
      identity: { type: "raw-key", publicKey: pair.server.credentials.publicKey },
      earlyData: "none",
    });
    assert.deepEqual(remote.info, {
      alpn: "b",
      identity: { type: "raw-key", publicKey: pair.client.credentials.publicKey },
      earlyData: "none",
    });
    assert.equal(local.connection.role, "client");
    assert.equal(remote.connection.role, "server");
    assert.deepEqual(local.connection.remoteAddress, pair.server.address);
    assert.deepEqual(remote.connection.remoteAddress, pair.client.address);
  });

  it("work over IPv6", () => {
    const pair = new EnginePair();
    const address = (host: string) => ({ family: 6, host, port: 9 }) as const;
    const one = new TestPeer(pair.network, { number: 3, address: address("2001:db8::1") });
    const two = new TestPeer(pair.network, { number: 4, address: address("2001:db8::2") });
    const local = two.dial(one);
    pair.run(() => local.info !== undefined && one.incoming[0]?.info !== undefined);
    assert.deepEqual(local.connection.remoteAddress, one.address);
    assert.deepEqual(one.incoming[0]?.connection.remoteAddress, two.address);
    assert.deepEqual(local.connection.paths()[0]?.remote, one.address);
  });

  it("fail at the dialer, before a byte of a request, when the key is not the dialed one", () => {
    const pair = new EnginePair();
    const local = pair.client.dial(pair.server, {
      expected: { type: "raw-key", publicKey: testCredentials(9).publicKey },
    });
    assert.equal(local.connection.openStream("bidirectional"), undefined);
    pair.run(() => local.cause !== undefined);
    assert(local.cause?.type === "transport" && local.cause.origin === "local");
    assert(local.cause.code >= 0x100n && local.cause.code < 0x200n, `${local.cause.code}`);
    assert.equal(local.info, undefined);
    pair.run(() => pair.server.incoming[0]?.cause !== undefined);
    const remote = pair.server.incoming[0];
    assert(remote?.cause?.type === "transport" && remote.cause.origin === "peer");
    assert.equal(remote.info, undefined);
    assert.deepEqual(remote.streams, []);
  });

  it("fail when the dialer's signature is not of its key", () => {
    const impostor = { ...testCredentials(2), sign: testCredentials(7).sign };
    const pair = new EnginePair({}, {}, { credentials: impostor });
    assertRefusedByServer(pair);
  });

  it("fail when the listener's signature is not of its key", () => {
    const impostor = { ...testCredentials(1), sign: testCredentials(7).sign };
    const pair = new EnginePair({}, { credentials: impostor });
    assertRefusedByClient(pair);
  });

  it("fail when the key cannot sign, on either side, and nothing is thrown", () => {
    const broken = (number: number): RawKeyCredentials => ({
      ...testCredentials(number),
      sign: () => {
        throw new Error("the key is in a vault");
      },
    });
    const atServer = new EnginePair({}, { credentials: broken(1) });
    const refused = atServer.client.dial(atServer.server);
    atServer.run(() => refused.cause !== undefined);
    assert.equal(refused.info, undefined);
    const atClient = new EnginePair({}, {}, { credentials: broken(2) });
    const failed = atClient.client.dial(atClient.server);
    atClient.run(() => failed.cause !== undefined);
    assert(failed.cause?.type === "transport");
    assert.equal(atClient.server.incoming[0]?.info, undefined);
  });

  it("check signatures as strictly as iroh: no key of small order", () => {
    // The neutral element as key and as R, with S = 0: valid for every message where that is not ruled out.
    const neutral = new Uint8Array(32);
    neutral[0] = 1;
    const forged = new Uint8Array(64);
    forged[0] = 1;
    const credentials: RawKeyCredentials = {
      type: "raw-key",
      publicKey: neutral,
      sign: () => forged,
    };
    assertRefusedByClient(new EnginePair({}, { credentials }));
    assertRefusedByServer(new EnginePair({}, {}, { credentials }));
  });

  it("check signatures as strictly as iroh: S below the group order", () => {
    const stretched = (number: number): RawKeyCredentials => {
      const credentials = testCredentials(number);
      return { ...credentials, sign: (message) => withOrderAdded(credentials.sign(message)) };
    };
    assertRefusedByClient(new EnginePair({}, { credentials: stretched(1) }));
    assertRefusedByServer(new EnginePair({}, {}, { credentials: stretched(2) }));
  });

  it("send no name of the peer in the clear", () => {
    const pair = new EnginePair();
    const sent: Uint8Array[] = [];
    pair.network.tap = ({ bytes }) => {
      sent.push(bytes);
      return bytes;
    };
    pair.connect();
    assert(!sent.some((bytes) => Buffer.from(bytes).includes("iroh")));
  });

  it("fail at once when there is no common protocol", () => {
    const pair = new EnginePair();
    const local = pair.client.dial(pair.server, { alpns: ["other"] });
    pair.run(() => local.cause !== undefined, 100);
    assertAlert(local.cause, noApplicationProtocol);
  });

  it("fail at once also when the offer does not fit into one packet", () => {
    const pair = new EnginePair();
    const alpns = Array.from({ length: 10 }, (_, index) => `${"x".repeat(200)}${index}`);
    const local = pair.client.dial(pair.server, { alpns });
    pair.run(() => local.cause !== undefined, 100);
    assertAlert(local.cause, noApplicationProtocol);
  });

  it("are refused by an endpoint without protocols", () => {
    const pair = new EnginePair({}, { alpns: [] });
    const local = pair.client.dial(pair.server);
    pair.run(() => local.cause !== undefined);
    assert.ok(local.cause?.type === "transport");
    assert.equal(local.cause.code, connectionRefused);
    assert.equal(pair.server.endpoint.stats().connections, 0);
  });

  it("follow a change of protocols; connections that exist are not touched", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    pair.server.endpoint.setAlpns(["new"]);
    const refused = pair.client.dial(pair.server);
    pair.run(() => refused.cause !== undefined);
    assertAlert(refused.cause, noApplicationProtocol);
    const { local: taken } = pair.connect({ alpns: ["new"] });
    assert.equal(taken.info?.alpn, "new");
    const echo = local.send("old");
    pair.run(() => echo.isEnded);
    assert.equal(echo.text, "old");
  });

  it("come through 30 % loss", () => {
    for (let seed = 1; seed <= 20; seed += 1) {
      const pair = new EnginePair({ seed, link: { loss: 0.3, jitterMs: 10, duplication: 0.1 } });
      const { local } = pair.connect();
      const echo = local.send("through");
      pair.run(() => echo.isEnded);
      assert.equal(echo.text, "through");
    }
  });

  it("give both sides the same keying material, and another for another label or context", () => {
    const pair = new EnginePair();
    const dialed = pair.client.dial(pair.server);
    const context = Buffer.from("context");
    assert.throws(
      () => dialed.connection.exportKeyingMaterial(32, "label", context),
      (error) => error instanceof EngineError && error.code === "not-connected",
    );
    pair.run(() => dialed.info !== undefined && pair.server.incoming[0]?.info !== undefined);
    const ours = dialed.connection.exportKeyingMaterial(32, "label", context);
    const remote = pair.server.incoming[0]?.connection;
    assert.equal(ours.length, 32);
    assert.deepEqual(remote?.exportKeyingMaterial(32, "label", context), ours);
    assert.notDeepEqual(remote?.exportKeyingMaterial(32, "other", context), ours);
    assert.notDeepEqual(remote?.exportKeyingMaterial(32, "label", Buffer.from("other")), ours);
    assert.throws(() => remote?.exportKeyingMaterial(100_000, "label", context), RangeError);
    assert.throws(() => remote?.exportKeyingMaterial(0, "label", context), RangeError);
  });

  it("hand out key log lines", () => {
    const lines: string[] = [];
    const pair = new EnginePair({}, {}, { keyLog: (line) => lines.push(line) });
    pair.connect();
    assert.deepEqual(lines.map((line) => line.split(" ")[0]).sort(), [
      "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
      "CLIENT_TRAFFIC_SECRET_0",
      "EXPORTER_SECRET",
      "SERVER_HANDSHAKE_TRAFFIC_SECRET",
      "SERVER_TRAFFIC_SECRET_0",
    ]);
    for (const line of lines) {
      assert.match(line, /^[A-Z_0-9]+ [0-9a-f]{64} [0-9a-f]{64}$/);
    }
  });

  it("are dropped by a listener when they take too long", () => {
    const pair = new EnginePair({}, { incoming: { handshakeTimeoutMs: 2_000 } });
    pair.client.dial(pair.server);
    // The dialer goes silent after its first packet.
    let packets = 0;
    pair.network.tap = ({ from, bytes }) => {
      packets += from === pair.client.address ? 1 : 0;
      return from === pair.client.address && packets > 1 ? undefined : bytes;
    };
    pair.run(() => pair.server.incoming[0]?.cause !== undefined, 3_000);
    assert.deepEqual(pair.server.incoming[0]?.cause, { type: "timeout", handshaking: true });
    assert.equal(pair.server.endpoint.stats().handshakes, 0);
    pair.runFor(10_000);
    assert.equal(pair.server.endpoint.stats().connections, 0);
  });

  it("can be given up by the dialer", () => {
    const pair = new EnginePair();
    const local = pair.client.dial(pair.server);
    pair.runFor(5);
    local.connection.close(3n, "changed my mind");
    pair.run(() => local.cause !== undefined);
    assert.deepEqual(local.cause, {
      type: "application",
      origin: "local",
      code: 3n,
      reason: "changed my mind",
    });
    pair.runFor(60_000);
    assert.equal(local.info, undefined);
    assert.equal(pair.client.endpoint.stats().connections, 0);
    assert.equal(pair.server.endpoint.stats().connections, 0);
  });

  it("refuse destinations that cannot be, and options that cannot work", () => {
    const pair = new EnginePair();
    const isInvalid = (error: unknown): boolean =>
      error instanceof EngineError && error.code === "invalid-options";
    const bad: Parameters<TestPeer["dial"]>[1][] = [
      { remote: { family: 4, host: "10.0.0.1", port: 0 } },
      { remote: { family: 6, host: "::", port: 1 } },
      { alpns: [] },
      { alpns: [""] },
      { alpns: ["x".repeat(256)] },
      { alpns: Array.from({ length: 256 }, (_, index) => `${index}`) },
      { expected: { type: "raw-key", publicKey: new Uint8Array(31) } },
      { transport: { initialMtu: 1_199 } },
      { transport: { initialMtu: 65_528 } },
      { transport: { idleTimeoutMs: -1 } },
      { transport: { streamReceiveWindow: Number.NaN } },
      { transport: { maxBidirectionalStreams: 2 ** 60 } },
    ];
    for (const options of bad) {
      assert.throws(() => pair.client.dial(pair.server, options), isInvalid, inspect(options));
    }
    assert.equal(pair.client.endpoint.stats().connections, 0);
  });
});

describe("noq listeners under load", () => {
  it("refuse handshakes above the limit with CONNECTION_REFUSED", () => {
    const pair = new EnginePair({}, { incoming: { maxHandshakes: 3 } });
    const dialed = Array.from({ length: 5 }, () => pair.client.dial(pair.server));
    pair.run(() => dialed.every(({ info, cause }) => (info ?? cause) !== undefined));
    const refused = dialed.filter(({ cause }) => cause !== undefined);
    assert.equal(refused.length, 2);
    for (const { cause } of refused) {
      assert(cause?.type === "transport" && cause.origin === "peer");
      assert.equal(cause.code, connectionRefused);
    }
    assert.equal(pair.server.endpoint.stats().refused, 2);
    pair.runFor(1_000);
    assert.equal(pair.server.endpoint.stats().handshakes, 0);
    pair.connect();
  });

  it("refuse connections above the limit, and take new ones when others are gone", () => {
    const pair = new EnginePair({}, { incoming: { maxConnections: 2 } });
    const { local } = pair.connect();
    pair.connect();
    const refused = pair.client.dial(pair.server);
    pair.run(() => refused.cause !== undefined);
    assert(refused.cause?.type === "transport" && refused.cause.code === connectionRefused);
    local.connection.close(0n, "");
    pair.runFor(5_000);
    pair.connect();
  });

  it("have dialers prove their address above a threshold (RFC 9000 §8.1.2)", () => {
    const pair = new EnginePair({}, { incoming: { retryAbove: 2 } });
    const dialed = Array.from({ length: 5 }, () => pair.client.dial(pair.server));
    pair.run(() => dialed.every(({ info }) => info !== undefined));
    assert.equal(pair.server.endpoint.stats().retried, 3);
    for (const { connection } of dialed) {
      assert.equal(connection.stats().packetsLost, 0);
    }
  });

  it("know an address again that has proven itself before (RFC 9000 §8.1.3)", () => {
    const pair = new EnginePair({}, { incoming: { retryAbove: 0 } });
    const { local } = pair.connect();
    pair.runFor(1_000);
    assert.equal(pair.server.endpoint.stats().retried, 1);
    local.connection.close(0n, "");
    pair.connect();
    assert.equal(pair.server.endpoint.stats().retried, 1);
  });

  it("honour a Retry of theirs also after a change of protocols", () => {
    const pair = new EnginePair({}, { incoming: { retryAbove: 0 } });
    const local = pair.client.dial(pair.server);
    pair.run(() => pair.server.endpoint.stats().retried === 1);
    pair.server.endpoint.setAlpns(["more", testAlpn]);
    pair.run(() => (local.info ?? local.cause) !== undefined);
    assert.equal(local.info?.alpn, testAlpn);
    assert.equal(pair.server.endpoint.stats().retried, 1);
  });

  it("answer other versions with the list of ours, but no datagram that is too short for it", () => {
    const pair = new EnginePair();
    const answers: Uint8Array[] = [];
    const address = { family: 4, host: "10.9.9.9", port: 5 } as const;
    const socket = pair.network.bind(address, (_, bytes) => answers.push(bytes));
    const probe = (length: number): void => {
      const packet = new Uint8Array(length);
      // Long header, version 0xbabababa, connection ids of 8 bytes each.
      packet.set([0xc0, 0xba, 0xba, 0xba, 0xba, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8]);
      socket.transmit(pair.server.address, packet, length);
      pair.runFor(1_000);
    };
    probe(200);
    probe(1_199);
    assert.deepEqual(answers, []);
    probe(1_200);
    assert.equal(answers.length, 1);
    const versions = Buffer.from(answers[0] ?? []).subarray(-8);
    assert.equal(versions.readUInt32BE(4), 1);
    // The other one is no version, but keeps clients from choking on what they do not know.
    assert.equal(versions.readUInt32BE(0) & 0x0f0f0f0f, 0x0a0a0a0a);
  });
});

describe("noq early data", () => {
  it("is not tried unless asked for", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    local.connection.close(0n, "");
    pair.runFor(5_000);
    const again = pair.client.dial(pair.server);
    assert.equal(again.connection.openStream("bidirectional"), undefined);
    pair.run(() => again.info !== undefined);
    assert.equal(again.info?.earlyData, "none");
    assert.deepEqual(again.available, ["bidirectional"]);
  });

  it("goes with the first packet to a peer that is remembered, and waits for the handshake there", () => {
    const { pair, again, echo, tookMs } = dialTwice({});
    assert.equal(again.info?.earlyData, "accepted");
    const remote = pair.server.incoming[1];
    assert.equal(remote?.info?.earlyData, "accepted");
    assert.deepEqual(remote?.info?.identity, {
      type: "raw-key",
      publicKey: pair.client.credentials.publicKey,
    });
    assert.equal(echo.text, "early");
    assert(tookMs >= 40, "two round trips");
  });

  it("is answered with the first packet by a peer that accepts that", () => {
    const { pair, again, echo, tookMs } = dialTwice({ acceptEarlyData: true });
    assert(tookMs < 25, `one round trip, not ${tookMs} ms`);
    assert.equal(again.info?.earlyData, "accepted");
    const remote = pair.server.incoming[1];
    assert.equal(remote?.info?.earlyData, "accepted");
    assert.equal(remote?.info?.alpn, testAlpn);
    assert.deepEqual(remote?.info?.identity, {
      type: "raw-key",
      publicKey: pair.client.credentials.publicKey,
    });
    assert.equal(echo.text, "early");
    pair.runFor(1_000);
    assert.equal(pair.server.endpoint.stats().handshakes, 0);
    assert.equal(remote?.cause, undefined);
  });

  it("needs no signatures, nor does resumption without it, and both sides know each other", () => {
    const pair = new EnginePair();
    let signatures = 0;
    for (const { credentials } of [pair.client, pair.server]) {
      const sign = credentials.sign.bind(credentials);
      credentials.sign = (message) => {
        signatures += 1;
        return sign(message);
      };
    }
    for (const earlyData of [false, false, true]) {
      signatures = 0;
      const { local, remote } = pair.connect({ earlyData });
      const resumed = pair.server.incoming.length > 1;
      assert.equal(signatures, resumed ? 0 : 2);
      assert.equal(local.info?.earlyData, earlyData ? "accepted" : "none");
      for (const [info, { credentials }] of [
        [local.info, pair.server],
        [remote.info, pair.client],
      ] as const) {
        assert.deepEqual(info?.identity, { type: "raw-key", publicKey: credentials.publicKey });
      }
      pair.runFor(1_000);
      local.connection.close(0n, "");
      pair.runFor(5_000);
    }
  });

  it("is refused by a peer that has forgotten: the early streams never existed", () => {
    const pair = new EnginePair();
    pair.connect({ earlyData: true });
    pair.runFor(1_000);
    pair.server.endpoint.destroy();
    pair.server.socket.close();
    const reborn = new TestPeer(pair.network, { number: 1 });
    const again = pair.client.dial(reborn, { earlyData: true });
    const early = again.send("early");
    assert.equal(early.stream.id, 0);
    pair.run(() => again.info !== undefined);
    assert.equal(again.info?.earlyData, "rejected");
    assert.throws(() => early.stream.write(Buffer.from("x")), EngineError);
    early.stream.reset(1n);
    early.stream.stop(1n);
    const reissued = again.send("again");
    assert.equal(reissued.stream.id, 0);
    pair.run(() => reissued.isEnded);
    assert.equal(reissued.text, "again");
    assert.equal(early.text, "");
    assert.equal(early.stream.read(), undefined);
    assert.equal(reborn.incoming[0]?.streams.length, 1);
    assert.equal(reborn.incoming[0]?.info?.alpn, testAlpn);
  });

  it("is good once per ticket: what is sent again is not served again", () => {
    const pair = new EnginePair({}, { acceptEarlyData: true });
    pair.connect({ earlyData: true });
    pair.runFor(1_000);
    const recorded: Uint8Array[] = [];
    pair.network.tap = ({ from, bytes }) => {
      if (from === pair.client.address) {
        recorded.push(bytes);
      }
      return bytes;
    };
    const again = pair.client.dial(pair.server, { earlyData: true });
    const echo = again.send("pay 10 coins");
    pair.run(() => echo.isEnded);
    again.connection.close(0n, "");
    pair.runFor(30_000);
    pair.network.tap = undefined;
    const attacker = { family: 4, host: "10.6.6.6", port: 6 } as const;
    const socket = pair.network.bind(attacker, () => {});
    for (const bytes of recorded) {
      socket.transmit(pair.server.address, bytes, bytes.length);
    }
    pair.runFor(30_000);
    const served = pair.server.incoming.flatMap(({ streams }) => streams.map(({ text }) => text));
    assert.deepEqual(served, ["pay 10 coins"]);
  });
});

/** Connects, and connects again with an early request; how long the answer took from there. */
function dialTwice(server: Partial<PeerOptions>) {
  const pair = new EnginePair({}, server);
  const first = pair.connect({ earlyData: true });
  assert.equal(first.local.info?.earlyData, "none");
  pair.runFor(1_000);
  const start = pair.now;
  const again = pair.client.dial(pair.server, { earlyData: true });
  const echo = again.send("early");
  pair.run(() => echo.isEnded);
  const tookMs = pair.now - start;
  pair.run(() => pair.server.incoming[1]?.info !== undefined);
  return { pair, again, echo, tookMs };
}

function assertAlert(cause: unknown, code: bigint): void {
  const { type, code: found } = (cause ?? {}) as { type?: string; code?: bigint };
  assert.equal(type, "transport");
  assert.equal(found, code);
}

/** The dialer must find fault with the listener, and the listener must never think that it is connected. */
function assertRefusedByClient(pair: EnginePair): void {
  const local = pair.client.dial(pair.server);
  pair.run(() => local.cause !== undefined);
  assert.equal(local.info, undefined);
  assert(local.cause?.type === "transport" && local.cause.origin === "local");
  pair.runFor(10_000);
  assert.equal(pair.server.incoming[0]?.info, undefined);
}

/** The listener must find fault with the dialer, who may have thought that it is connected. */
function assertRefusedByServer(pair: EnginePair): void {
  const local = pair.client.dial(pair.server);
  pair.run(() => local.cause !== undefined && pair.server.incoming[0]?.cause !== undefined);
  assert(local.cause?.type === "transport" && local.cause.origin === "peer");
  const remote = pair.server.incoming[0];
  assert.equal(remote?.info, undefined);
  assert(remote?.cause?.type === "transport" && remote.cause.origin === "local");
}

/** The order of the base point of Ed25519 (RFC 8032 §5.1). */
const groupOrder = (1n << 252n) + 27742317777372353535851937790883648493n;

/** A signature with S + order for S: the same point, and another text. */
function withOrderAdded(signature: Uint8Array): Uint8Array {
  const stretched = Uint8Array.from(signature);
  // Little-endian; the sum stays below 2^254.
  let rest = groupOrder;
  for (let index = 32; index < 64; index += 1) {
    rest += BigInt(stretched[index] ?? 0);
    stretched[index] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return stretched;
}

function inspect(value: unknown): string {
  return JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}` : part));
}
