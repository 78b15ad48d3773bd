import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EnginePair } from "../../../test/support/engine-pair.ts";
import {
  ignore,
  RecordedStream,
  readOnly,
  writeAll,
} from "../../../test/support/recorded-connection.ts";
import { EngineError } from "../engine.ts";

const isSlow = process.env.CONNECT_QUIC_TEST === "slow";

/** Codes that lose bits in a double. */
const largeCode = (1n << 62n) - 2n;
const otherLargeCode = (1n << 61n) + 1n;

describe("noq streams", () => {
  it("carry bytes both ways on a bidirectional stream, and end", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    const stream = local.send("hello");
    pair.run(() => stream.isEnded && remote.streams[0]?.isAcknowledged === true);
    assert.equal(stream.text, "hello");
    assert.equal(stream.stream.receiveState, "finished");
    assert.equal(stream.isAcknowledged, true);
    assert.equal(remote.streams[0]?.stream.receiveState, "finished");
  });

  it("let what many of them say leave bit by bit, and what few say with the turn", () => {
    let packets = 0;
    const pair = new EnginePair();
    const { local } = pair.connect();
    pair.network.tap = ({ bytes }) => {
      packets += 1;
      return bytes;
    };
    const sent = (writes: number): number => {
      const streams = Array.from({ length: writes }, () => local.open());
      const before = packets;
      for (const { stream } of streams) {
        stream.write(Buffer.from("hello"), true);
      }
      return packets - before;
    };
    assert.equal(sent(7), 0);
    pair.runFor(1_000);
    assert.equal(sent(32), 4);
    pair.runFor(1_000);
    assert.equal(pair.server.incoming[0]?.streams.filter(({ isEnded }) => isEnded).length, 39);
  });

  it("are written to by whoever is handed a datagram, and all of it arrives", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    const first = local.open();
    const large = Buffer.alloc(200_000, "large");
    const others: RecordedStream[] = [];
    pair.network.tap = ({ bytes }) => {
      for (let left = 8; left > 0 && others.length < 64; left--) {
        const other = local.open();
        other.stream.write(Buffer.from(`small ${others.length}`), true);
        others.push(other);
      }
      return bytes;
    };
    writeAll(first, large);
    pair.run(() => others.length === 64 && [first, ...others].every(({ isEnded }) => isEnded));
    assert.equal(first.text, large.toString());
    others.forEach(({ text }, index) => {
      assert.equal(text, `small ${index}`);
    });
    assert.deepEqual(pair.client.handlerErrors, []);
  });

  it("carry bytes one way on a unidirectional stream, from either side", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    const up = local.send("up", "unidirectional");
    const down = remote.send("down", "unidirectional");
    pair.run(() => remote.streams[0]?.isEnded === true && local.streams[0]?.isEnded === true);
    assert.equal(remote.streams[0]?.text, "up");
    assert.equal(local.streams[0]?.text, "down");
    assert.equal(up.stream.receiveState, "none");
    assert.equal(down.stream.receiveState, "none");
  });

  it("tell a reader that is behind of a reset, and take nothing away from one that is not reset", () => {
    const pair = new EnginePair({}, { behaviour: ignore });
    const { local, remote } = pair.connect();
    const [given, kept] = [local.open(), local.open()];
    given.stream.write(Buffer.from("lost"));
    kept.stream.write(Buffer.from("first, "));
    pair.run(() => remote.streams.length === 2);
    const [lost, whole] = remote.streams;
    assert(lost !== undefined && whole !== undefined);
    const codes: bigint[] = [];
    for (const recorded of remote.streams) {
      Object.assign(recorded, { resetUnread: (code: bigint) => codes.push(code) });
    }
    given.stream.reset(largeCode);
    kept.stream.write(Buffer.from("second"), true);
    pair.runFor(1_000);
    assert.deepEqual(codes, [largeCode]);
    assert.equal(lost.stream.receiveState, "reset");
    assert.equal(lost.stream.resetCode, largeCode);
    assert.equal(lost.stream.read(), undefined);
    assert.equal(whole.stream.receiveState, "open");
    whole.drain();
    assert.equal(whole.text, "first, second");
    assert.equal(whole.stream.receiveState, "finished");
  });

  it("end for a reader that has read all, and was not told so, when the FIN comes", () => {
    const pair = new EnginePair({}, { behaviour: ignore });
    const { local, remote } = pair.connect();
    const stream = local.open();
    stream.stream.write(Buffer.from("all"));
    pair.run(() => remote.streams.length === 1);
    const received = remote.streams[0]?.stream;
    assert.equal(Buffer.from(received?.read() ?? []).toString(), "all");
    stream.stream.finish();
    pair.runFor(1_000);
    assert.equal(received?.read(), undefined);
    assert.equal(received?.receiveState, "finished");
  });

  it("have the ids and directions of RFC 9000 §2.1", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    const opened = [
      local.open("bidirectional"),
      local.open("unidirectional"),
      remote.open("bidirectional"),
      remote.open("unidirectional"),
      local.open("bidirectional"),
    ];
    assert.deepEqual(
      opened.map(({ stream }) => stream.id),
      [0, 2, 1, 3, 4],
    );
    for (const { stream } of opened) {
      stream.write(Buffer.from("x"));
    }
    pair.run(() => remote.streams.length === 3 && local.streams.length === 2);
    assert.deepEqual(
      remote.streams.map(({ stream }) => [stream.id, stream.direction, stream.initiator]).sort(),
      [
        [0, "bidirectional", "peer"],
        [2, "unidirectional", "peer"],
        [4, "bidirectional", "peer"],
      ],
    );
  });

  it("deliver an empty stream as finished without data", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    local.open("unidirectional").stream.finish();
    pair.run(() => remote.streams[0]?.isEnded === true);
    assert.equal(remote.streams[0]?.receivedBytes, 0);
    assert.equal(remote.streams[0]?.stream.receiveState, "finished");
  });

  it("carry megabytes unchanged over a lossy link that reorders", () => {
    const pair = new EnginePair({ seed: 5, link: { loss: 0.02, jitterMs: 5 } });
    const { local } = pair.connect();
    const bytes = new Uint8Array(3_000_000);
    pair.network.platform.randomFill(bytes);
    const stream = local.open();
    writeAll(stream, bytes);
    pair.run(() => stream.isEnded);
    assert.deepEqual(Buffer.concat(stream.chunks), Buffer.from(bytes));
  });

  it("tell of a reset with its code, all 62 bits of it", () => {
    const pair = new EnginePair({}, { behaviour: readOnly });
    const { local, remote } = pair.connect();
    const stream = local.open();
    stream.stream.write(Buffer.from("never mind"));
    pair.run(() => remote.streams[0]?.receivedBytes === 10);
    stream.stream.reset(largeCode);
    pair.run(() => remote.streams[0]?.isEnded === true);
    assert.equal(remote.streams[0]?.stream.receiveState, "reset");
    assert.equal(remote.streams[0]?.stream.resetCode, largeCode);
    assert.equal(stream.stream.receiveState, "open");
  });

  it("tell of STOP_SENDING with its code, and answer it with a reset of the same code", () => {
    const pair = new EnginePair({}, { behaviour: ignore });
    const { local, remote } = pair.connect();
    const stream = local.open();
    stream.stream.write(Buffer.from("unwanted"));
    pair.run(() => remote.streams.length === 1);
    const theirs = remote.streams[0];
    assert(theirs !== undefined);
    theirs.stream.stop(otherLargeCode);
    assert.equal(theirs.stream.receiveState, "stopped");
    assert.equal(theirs.stream.read(), undefined);
    pair.run(() => stream.stoppedWith !== undefined);
    assert.equal(stream.stoppedWith, otherLargeCode);
    assert.throws(() => stream.stream.write(Buffer.from("x")), isStreamEnded);
  });

  it("refuse codes that the wire cannot carry", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    const { stream } = local.open();
    assert.throws(() => stream.reset(1n << 62n), RangeError);
    assert.throws(() => stream.stop(-1n), RangeError);
    assert.throws(() => local.connection.close(1n << 62n, ""), RangeError);
  });

  it("throw when written to after the sending half is over, and ignore finish, reset and stop", () => {
    const pair = new EnginePair();
    const { local } = pair.connect();
    const finished = local.send("done").stream;
    assert.throws(() => finished.write(Buffer.from("x")), isStreamEnded);
    finished.finish();
    const wasReset = local.open().stream;
    wasReset.reset(1n);
    assert.throws(() => wasReset.write(Buffer.from("x")), isStreamEnded);
    wasReset.finish();
    wasReset.reset(2n);
    wasReset.stop(3n);
    wasReset.stop(4n);
    assert.equal(wasReset.receiveState, "stopped");
  });

  it("throw when written to in the turn before STOP_SENDING is handed out", () => {
    const pair = new EnginePair();
    const { local, remote } = pair.connect();
    const one = local.open();
    const two = local.open();
    one.stream.write(Buffer.from("1"));
    two.stream.write(Buffer.from("2"));
    pair.run(() => remote.streams.length === 2);
    let thrown: unknown;
    one.stopped = () => {
      try {
        two.stream.write(Buffer.from("more"));
      } catch (error) {
        thrown = error;
      }
    };
    remote.streams[0]?.stream.stop(7n);
    remote.streams[1]?.stream.stop(8n);
    pair.run(() => two.stoppedWith !== undefined);
    assert(isStreamEnded(thrown));
    assert.equal(two.stoppedWith, 8n);
  });

  it("call readable again only after read has returned undefined", () => {
    const pair = new EnginePair({}, { behaviour: ignore });
    const { local, remote } = pair.connect();
    const stream = local.open();
    let calls = 0;
    stream.stream.write(Buffer.from("1"));
    pair.run(() => remote.streams.length === 1);
    const theirs = remote.streams[0];
    assert(theirs !== undefined);
    theirs.readable = () => {
      calls += 1;
    };
    stream.stream.write(Buffer.from("2"));
    pair.runFor(1_000);
    assert.equal(calls, 0);
    assert.equal(theirs.drain(), 2);
    stream.stream.write(Buffer.from("3"));
    pair.runFor(1_000);
    assert.equal(calls, 1);
  });

  it("read no more than asked for, and nothing is lost between reads", () => {
    const pair = new EnginePair({}, { behaviour: ignore });
    const { local, remote } = pair.connect();
    local.send("abcdefghij", "unidirectional");
    pair.run(() => remote.streams.length === 1);
    const theirs = remote.streams[0]?.stream;
    const parts = [3, 3, 3, 3].map((size) => Buffer.from(theirs?.read(size) ?? []).toString());
    assert.deepEqual(parts, ["abc", "def", "ghi", "j"]);
    assert.equal(theirs?.receiveState, "finished");
  });

  it("send those of higher priority first", () => {
    const pair = new EnginePair({ link: { bandwidth: 1_000_000 } }, { behaviour: readOnly });
    const { local, remote } = pair.connect();
    const low = local.open("unidirectional");
    const high = local.open("unidirectional");
    low.stream.setPriority(-1);
    high.stream.setPriority(1);
    low.stream.write(new Uint8Array(500_000), true);
    high.stream.write(new Uint8Array(500_000), true);
    const theirs = (id: number): RecordedStream | undefined =>
      remote.streams.find(({ stream }) => stream.id === id);
    pair.run(() => theirs(high.stream.id)?.isEnded === true);
    assert.equal(theirs(low.stream.id)?.isEnded ?? false, false);
  });

  it("F14: openStream returns undefined at the peer's limit, and streamsAvailable says when it is over", () => {
    const transport = { maxBidirectionalStreams: 3, maxUnidirectionalStreams: 0 };
    const pair = new EnginePair({}, { transport, behaviour: ignore });
    const { local, remote } = pair.connect();
    const open = [local.open(), local.open(), local.open()];
    assert.equal(local.connection.openStream("bidirectional"), undefined);
    assert.equal(local.connection.openStream("unidirectional"), undefined);
    for (const { stream } of open) {
      stream.write(Buffer.from("x"), true);
    }
    pair.run(() => remote.streams.length === 3);
    pair.runFor(5_000);
    assert.deepEqual(local.available, []);
    const theirs = remote.streams[0];
    assert(theirs !== undefined);
    theirs.drain();
    theirs.stream.finish();
    pair.run(() => local.available.length > 0);
    assert.deepEqual(local.available, ["bidirectional"]);
    assert(local.connection.openStream("bidirectional") !== undefined);
    assert.equal(local.connection.openStream("bidirectional"), undefined);
  });

  it("F13: give stream credit back however they end", () => {
    const pair = new EnginePair({}, { transport: { maxBidirectionalStreams: 4 } });
    const { local, remote } = pair.connect();
    const endings: ((recorded: RecordedStream) => void)[] = [
      ({ stream }) => stream.write(Buffer.from("done"), true),
      ({ stream }) => {
        stream.write(Buffer.from("reset"));
        stream.reset(1n);
        stream.stop(1n);
      },
      ({ stream }) => {
        stream.write(Buffer.from("stopped"), true);
        stream.stop(2n);
      },
      ({ stream }) => {
        stream.finish();
        stream.stop(3n);
      },
    ];
    let opened = 0;
    const openMore = (): void => {
      while (opened < 1_000) {
        const stream = local.connection.openStream("bidirectional");
        if (stream === undefined) {
          return;
        }
        const ending = endings[opened % endings.length];
        opened += 1;
        ending?.(new RecordedStream(stream));
      }
    };
    local.onAvailable = openMore;
    // The peer's echo answers a stream that was reset as well: it sees the end.
    openMore();
    pair.run(() => opened === 1_000);
    pair.runFor(10_000);
    const left = Array.from({ length: 4 }, () => local.connection.openStream("bidirectional"));
    assert.equal(left.filter((stream) => stream !== undefined).length, 4);
    assert(remote.streams.length <= 1_000);
  });

  it("F13: many one after another (100,000 in the slow suite) and 1,000 at once leave the limits where they were", () => {
    const pair = new EnginePair({ link: { delayMs: 0.05 } });
    const { local } = pair.connect();
    const sequential = isSlow ? 100_000 : 5_000;
    let done = 0;
    const next = (): void => {
      const stream = local.send("x");
      stream.onEnd = () => {
        done += 1;
        if (done < sequential) {
          next();
        }
      };
    };
    next();
    pair.run(() => done === sequential);
    const before = pair.server.endpoint.stats().memoryBytes;
    let opened = 0;
    let ended = 0;
    // The peer gives credit back in portions, so that not all 1,000 need be there at once.
    const openMore = (): void => {
      while (opened < 3_000) {
        const stream = local.connection.openStream("bidirectional");
        if (stream === undefined) {
          break;
        }
        opened += 1;
        const recorded = new RecordedStream(stream);
        recorded.onEnd = () => {
          ended += 1;
        };
        stream.write(Buffer.from("y"), true);
      }
    };
    local.onAvailable = openMore;
    openMore();
    pair.run(() => ended === 3_000);
    assert.equal(local.connection.openStream("bidirectional")?.id, (sequential + 3_000) * 4);
    assert(pair.server.endpoint.stats().memoryBytes <= before + (4 << 20));
  });
});

function isStreamEnded(error: unknown): boolean {
  return error instanceof EngineError && error.code === "stream-ended";
}
