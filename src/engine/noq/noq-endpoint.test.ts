import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { EnginePair, TestPeer } from "../../../test/support/engine-pair.ts";
import {
  ignore,
  type RecordedStream,
  writeAll,
} from "../../../test/support/recorded-connection.ts";
import type { VirtualNetworkOptions } from "../../testing/virtual-network.ts";
import { type EngineEndpoint, EngineError } from "../engine.ts";
import { NoqEndpoint } from "./noq-endpoint.ts";

const isSlow = process.env.CONNECT_QUIC_TEST === "slow";
/** Mutated datagrams that come before each real one. */
const copies = 20;

describe("noq endpoints", () => {
  it("play the same seed the same way, to the byte and the microsecond", () => {
    const first = transcript({ seed: 11, link: { loss: 0.3, jitterMs: 7, duplication: 0.05 } });
    const again = transcript({ seed: 11, link: { loss: 0.3, jitterMs: 7, duplication: 0.05 } });
    const other = transcript({ seed: 12, link: { loss: 0.3, jitterMs: 7, duplication: 0.05 } });
    assert.deepEqual(again, first);
    assert.notEqual(other.hash, first.hash);
  });

  it("send what promises write in the datagram with the acknowledgement", async () => {
    const pair = new EnginePair({}, { behaviour: answerAfterPromises });
    const { local } = pair.connect();
    pair.runFor(5_000);
    const before = local.connection.stats();
    const calls = 100;
    for (let call = 0; call < calls; call += 1) {
      const stream = local.send("question");
      assert(await pair.network.platform.runAsync(() => stream.isEnded));
    }
    const after = local.connection.stats();
    // Each answer also acknowledges its question. There may be a few datagrams that do more.
    const limit = calls * 1.1;
    assert(after.datagramsReceived - before.datagramsReceived <= limit, "one for each answer");
    assert(after.datagramsSent - before.datagramsSent <= calls * 1.6, "one for each question");
  });

  it("use large datagrams where the path carries them, from the start", () => {
    const transport = { initialMtu: 60_000, maxMtu: 65_000 };
    const link = { mtu: 65_535 };
    const pair = new EnginePair({ link }, { transport }, { transport });
    const { local } = pair.connect();
    const stream = local.open();
    writeAll(stream, new Uint8Array(5_000_000));
    pair.run(() => stream.isEnded);
    assert.equal(stream.receivedBytes, 5_000_000);
    assert(local.connection.stats().mtu >= 60_000);
    assert(local.connection.stats().datagramsSent < 500, "few, because they are large");
  });

  it("find out the path's MTU, and do without when it carries less than was said", () => {
    const grown = new EnginePair({ link: { mtu: 1_400 } });
    const { local } = grown.connect();
    grown.runFor(10_000);
    assert(local.connection.stats().mtu > 1_350 && local.connection.stats().mtu <= 1_400);
    const transport = { initialMtu: 9_000 };
    const shrunk = new EnginePair({}, { transport }, { transport });
    const { local: blackHoled } = shrunk.connect();
    const stream = blackHoled.open();
    writeAll(stream, new Uint8Array(300_000));
    shrunk.run(() => stream.isEnded);
    assert.equal(blackHoled.connection.stats().mtu < 1_453, true);
  });

  it("ask for no more turns than there are deadlines when nothing is going on", () => {
    const transport = { keepAliveIntervalMs: 0, idleTimeoutMs: 600_000 };
    const pair = new EnginePair({}, { transport }, { transport });
    pair.connect();
    pair.runFor(60_000);
    let turns = 0;
    const { soon, setTimer } = pair.network.platform;
    Object.assign(pair.network.platform, {
      soon: (callback: () => void) => {
        turns += 1;
        soon.call(pair.network.platform, callback);
      },
      setTimer: (delayMs: number, callback: () => void) => {
        turns += 1;
        return setTimer.call(pair.network.platform, delayMs, callback);
      },
    });
    pair.runFor(300_000);
    assert(turns < 20, `${turns}`);
  });

  it("wake each connection at its own deadline", () => {
    const patient = { idleTimeoutMs: 0, keepAliveIntervalMs: 0 };
    const pair = new EnginePair({ seed: 21 }, { transport: patient });
    const { platform } = pair.network;
    const dialed = Array.from({ length: 200 }, () => {
      const idleTimeoutMs = 1_000 + Math.floor(platform.random() * 60_000);
      const transport = { idleTimeoutMs, keepAliveIntervalMs: 0 };
      const recorded = pair.client.dial(pair.server, { transport });
      const times = { idleTimeoutMs, connectedAt: 0, closedAt: 0 };
      recorded.onConnected = () => {
        times.connectedAt = pair.now;
      };
      const { closed } = recorded;
      recorded.closed = (cause) => {
        times.closedAt = pair.now;
        closed.call(recorded, cause);
      };
      return { recorded, times };
    });
    pair.run(() => dialed.every(({ recorded }) => recorded.cause !== undefined));
    for (const { recorded, times } of dialed) {
      assert.deepEqual(recorded.cause, { type: "timeout", handshaking: false });
      const waited = times.closedAt - times.connectedAt;
      // The last acknowledgements come a few round trips after the handshake.
      const { idleTimeoutMs } = times;
      assert(waited >= idleTimeoutMs && waited <= idleTimeoutMs + 500, `${waited}`);
    }
  });

  it("may be handed what they send while they send it", () => {
    const pair = new EnginePair();
    const address = { family: 4, host: "10.0.0.9", port: 9 } as const;
    const echoes: EngineEndpoint[] = [];
    const alone = new TestPeer(pair.network, {
      number: 9,
      transmit: (_, bytes, segmentSize) => {
        for (let start = 0; start < bytes.length; start += segmentSize) {
          echoes[0]?.receive(address, bytes.slice(start, start + segmentSize));
        }
      },
    });
    echoes.push(alone.endpoint);
    const dialed = alone.dial(alone);
    pair.run(() => dialed.info !== undefined);
    assert.deepEqual(dialed.info?.identity, {
      type: "raw-key",
      publicKey: alone.credentials.publicKey,
    });
    const stream = dialed.open();
    writeAll(stream, new Uint8Array(2_000_000));
    pair.run(() => stream.isEnded);
    assert.equal(stream.receivedBytes, 2_000_000);
  });

  it("flush at once when asked to, in a turn and between turns", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    pair.runFor(1_000);
    let sent = 0;
    pair.network.tap = ({ bytes }) => {
      sent += 1;
      return bytes;
    };
    local.send("between turns");
    assert.equal(sent, 0);
    pair.client.endpoint.flush();
    assert.equal(sent, 1);
    const inTurn = local.send("x");
    let sentInside = 0;
    inTurn.readable = () => {
      const before = sent;
      local.send("in a turn");
      pair.client.endpoint.flush();
      sentInside = sent - before;
    };
    pair.runFor(1_000);
    assert.equal(sentInside, 1);
  });

  it("drop what a turn cannot hold, and go on", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    const garbage = new Uint8Array(60_000).fill(0x40);
    for (let index = 0; index < 1_000; index += 1) {
      pair.server.endpoint.receive(pair.client.address, garbage);
    }
    assert(pair.server.endpoint.stats().memoryBytes < 16 << 20);
    const echo = local.send("after the flood");
    pair.run(() => echo.isEnded);
    assert.equal(echo.text, "after the flood");
  });

  it("take any datagram: empty, oversized, random", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    const { platform } = pair.network;
    for (let length = 0; length < 3_000; length += 1) {
      const bytes = new Uint8Array(length);
      platform.randomFill(bytes);
      pair.server.endpoint.receive(pair.client.address, bytes);
      if (length % 100 === 0) {
        pair.runFor(1);
      }
    }
    pair.server.endpoint.receive(pair.client.address, new Uint8Array(70_000));
    pair.server.endpoint.receive(pair.client.address, Buffer.alloc(1_200));
    const echo = local.send("as if nothing had been");
    pair.run(() => echo.isEnded);
    assert.equal(pair.server.endpoint.stats().connections, 1);
  });

  it("follow a peer that comes from another address", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    const moved = { family: 4, host: "10.0.7.7", port: 7_777 } as const;
    pair.client.socket.rebind(moved);
    const echo = local.send("from elsewhere");
    pair.run(() => echo.isEnded);
    assert.deepEqual(remote.connection.remoteAddress, moved);
    assert.equal(local.cause ?? remote.cause, undefined);
  });

  it("survive what the network makes of packets: mutated, cut, repeated, swapped", (t) => {
    let inputs = 0;
    for (let seed = 1; inputs < (isSlow ? 2_000_000 : 100_000); seed += 1) {
      const pair = new EnginePair({ seed, link: { jitterMs: 3 } });
      const { platform } = pair.network;
      pair.network.tap = ({ from, to, bytes }) => {
        // The real one may not arrive in order either, and before it come many that look like it.
        const receiver = to.host === pair.server.address.host ? pair.server : pair.client;
        for (let copy = 0; copy < copies; copy += 1) {
          receiver.endpoint.receive(
            from,
            mutate(bytes, () => platform.random()),
          );
        }
        inputs += copies;
        return platform.random() < 0.6 ? bytes : mutate(bytes, () => platform.random());
      };
      const dialed = pair.client.dial(pair.server);
      dialed.onConnected = () => {
        for (let index = 0; index < 5; index += 1) {
          writeAll(dialed.open(), new Uint8Array(20_000));
        }
      };
      pair.runFor(20_000);
      assert.deepEqual([pair.client.failure, pair.server.failure], [undefined, undefined]);
      assert.deepEqual([...pair.client.handlerErrors, ...pair.server.handlerErrors], []);
      pair.network.tap = undefined;
      const { local } = pair.connect();
      const echo = local.send("sound again");
      pair.run(() => echo.isEnded);
    }
    t.diagnostic(`${inputs} mutated datagrams`);
  });

  it("F27: many connections one after another (10,000 in the slow suite) leave memory where it was", () => {
    const pair = new EnginePair({ link: { delayMs: 0.05 } });
    const cycle = (): void => {
      const local = pair.client.dial(pair.server);
      pair.run(() => local.info !== undefined);
      const echo = local.send("x");
      pair.run(() => echo.isEnded);
      local.connection.close(0n, "");
      pair.run(() => pair.client.endpoint.stats().connections === 0);
      pair.server.incoming.length = 0;
    };
    for (let index = 0; index < 100; index += 1) {
      cycle();
    }
    pair.runFor(10_000);
    const before = pair.server.endpoint.stats();
    const heapBefore = usedHeap();
    for (let index = 0; index < (isSlow ? 9_900 : 300); index += 1) {
      cycle();
    }
    pair.runFor(10_000);
    const after = pair.server.endpoint.stats();
    assert.deepEqual({ ...after, memoryBytes: 0 }, { ...before, memoryBytes: 0 });
    assert(after.memoryBytes <= before.memoryBytes + (1 << 20), `${after.memoryBytes}`);
    assert.equal(pair.client.endpoint.stats().connections, 0);
    const grown = usedHeap() - heapBefore;
    assert(grown < 4 << 20, `${grown} bytes of JavaScript`);
  });

  it("never let a handle of a connection that is gone reach the one after it", () => {
    const pair = new EnginePair();
    const { local: old } = pair.connect();
    const stream = old.open();
    stream.stream.write(Buffer.from("old"));
    old.connection.close(0n, "");
    pair.runFor(10_000);
    const { local: young, remote } = pair.connect();
    old.connection.close(9n, "stale");
    old.connection.ping();
    stream.stream.reset(9n);
    pair.runFor(1_000);
    const echo = young.send("young");
    pair.run(() => echo.isEnded);
    assert.equal(young.cause ?? remote.cause, undefined);
  });
});

describe("a noq endpoint whose core panics", () => {
  it("ends all its connections with engine-failed, and nothing else", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    const other = pair.connect();
    const stream = local.open();
    stream.stream.write(Buffer.from("x"));
    pair.runFor(100);
    assert.throws(() => panic(pair.client.endpoint), isEngineFailed);
    assert.throws(() => stream.stream.write(Buffer.from("x")), isEngineFailed);
    assert.throws(() => local.connection.openStream("bidirectional"), isEngineFailed);
    assert.equal(local.cause, undefined, "handlers run in turns only");
    pair.runFor(1);
    for (const cause of [local.cause, other.local.cause, stream.closedWith]) {
      assert(cause?.type === "engine-failed");
      assert.match(cause.reason, /panic for a test/);
    }
    assert.equal(pair.client.failure?.code, "engine-failed");
    assert.throws(() => pair.client.dial(pair.server), isEngineFailed);
    assert.throws(() => pair.client.endpoint.stats(), isEngineFailed);
    pair.client.endpoint.receive(pair.server.address, new Uint8Array(100));
    pair.client.endpoint.destroy();
    // The other endpoint is another instance.
    assert.equal(remote.cause, undefined);
    pair.run(() => remote.cause !== undefined);
    assert.deepEqual(remote.cause, { type: "timeout", handshaking: false });
  });

  it("lets what needs no answer pass until its handlers have heard of it", () => {
    const pair = new EnginePair({}, { behaviour: ignore });
    const { local } = pair.connect();
    const stream = local.open();
    const other = local.open();
    stream.stream.write(Buffer.from("x"));
    pair.runFor(100);
    assert.throws(() => panic(pair.client.endpoint), isEngineFailed);
    other.stream.finish();
    stream.stream.reset(1n);
    stream.stream.stop(1n);
    stream.stream.setPriority(1);
    assert.equal(stream.stream.read(), undefined);
    local.connection.ping();
    local.connection.setKeepAlive(1);
    assert.deepEqual(local.connection.paths(), []);
    assert.equal(local.connection.stats().bytesSent, 0);
    assert.equal(local.connection.maxDatagramSize, undefined);
    assert.deepEqual(local.connection.remoteAddress, pair.server.address);
    local.connection.close(1n, "");
    pair.runFor(1);
    assert.equal(local.cause?.type, "engine-failed");
    assert.equal(other.closedWith?.type, "engine-failed");
  });

  it("tells so also when it happens inside of a handler, which may catch what it likes", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    const echo = local.open();
    let caught: unknown;
    echo.readable = () => {
      try {
        panic(pair.client.endpoint);
      } catch (error) {
        caught = error;
      }
    };
    echo.stream.write(Buffer.from("x"), true);
    pair.run(() => pair.client.failure !== undefined);
    assert(isEngineFailed(caught));
    assert(local.cause?.type === "engine-failed");
    assert.deepEqual(pair.client.handlerErrors, []);
  });
});

/** What is left after a collection of garbage. Bytes. */
function usedHeap(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  return process.memoryUsage().heapUsed;
}

function panic(endpoint: EngineEndpoint): void {
  assert(endpoint instanceof NoqEndpoint);
  endpoint.core.call.panic_for_test();
}

function isEngineFailed(error: unknown): boolean {
  return error instanceof EngineError && error.code === "engine-failed";
}

/** All that is sent in a conversation, and when. */
function answerAfterPromises(stream: RecordedStream): void {
  stream.onEnd = async () => {
    for (let reaction = 0; reaction < 20; reaction += 1) {
      await undefined;
    }
    stream.stream.write(Buffer.from("answer"), true);
  };
}

function transcript(options: VirtualNetworkOptions): { hash: string; end: number } {
  const pair = new EnginePair(options);
  const hash = createHash("sha256");
  pair.network.tap = ({ from, bytes }) => {
    hash.update(`${pair.now} ${from.host} ${bytes.length} `).update(bytes);
    return bytes;
  };
  const { local } = pair.connect();
  const streams = Array.from({ length: 10 }, () => local.open());
  for (const stream of streams) {
    writeAll(stream, new Uint8Array(30_000).fill(7));
  }
  pair.run(() => streams.every(({ isEnded }) => isEnded));
  return { hash: hash.digest("hex"), end: pair.now };
}

/** Most datagrams pass; the others come out changed somehow. */
function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const place = Math.floor(random() * copy.length);
  const choice = random();
  if (choice < 0.4) {
    copy[place] = (copy[place] ?? 0) ^ (1 << Math.floor(random() * 8));
    return copy;
  }
  if (choice < 0.6) {
    return copy.subarray(0, place);
  }
  if (choice < 0.9) {
    const end = place + Math.floor(random() * (copy.length - place));
    for (let index = place; index < end; index += 1) {
      copy[index] = Math.floor(random() * 256);
    }
    return copy;
  }
  return Uint8Array.from([...copy, ...copy.subarray(place)]).subarray(0, 1_452);
}
