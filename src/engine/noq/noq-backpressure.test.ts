import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EnginePair } from "../../../test/support/engine-pair.ts";
import {
  ignore,
  type RecordedConnection,
  type RecordedStream,
} from "../../../test/support/recorded-connection.ts";
import { defaultTransportOptions } from "../engine.ts";

const isSlow = process.env.CONNECT_QUIC_TEST === "slow";
const chunk = new Uint8Array(65_536);

describe("noq backpressure", () => {
  it("stops a writer whose reader does not read, in either direction", () => {
    for (const writer of ["client", "server"] as const) {
      const pair = new EnginePair({}, { behaviour: ignore }, { behaviour: ignore });
      const { local, remote } = pair.connect();
      const stream = (writer === "client" ? local : remote).open("unidirectional");
      const accepted = writeEndlessly(stream);
      pair.runFor(60_000);
      const atMost =
        defaultTransportOptions.streamReceiveWindow + defaultTransportOptions.sendWindow;
      assert(accepted.bytes > 1_000_000, `${accepted.bytes}`);
      assert(accepted.bytes <= atMost, `${accepted.bytes}`);
      const before = accepted.bytes;
      pair.runFor(60_000);
      assert.equal(accepted.bytes, before);
    }
  });

  it("lets the writer go on when the reader reads, and loses nothing", () => {
    const pair = new EnginePair({}, { behaviour: ignore });
    const { local, remote } = pair.connect();
    const stream = local.open("unidirectional");
    const accepted = writeEndlessly(stream);
    pair.runFor(10_000);
    const theirs = only(remote);
    const stuckAt = accepted.bytes;
    while (theirs.receivedBytes < 20_000_000) {
      theirs.drain(100_000);
      pair.runFor(30);
    }
    assert(accepted.bytes >= stuckAt + 18_000_000);
    stream.stream.finish();
    theirs.reads = true;
    theirs.drain();
    pair.run(() => theirs.isEnded);
    assert.equal(theirs.receivedBytes, accepted.bytes);
  });

  it("F7: a gigabyte (32 MiB in the quick suite) through a slow reader keeps memory flat", () => {
    const total = isSlow ? 1 << 30 : 32 << 20;
    const pair = new EnginePair({}, { behaviour: ignore });
    const { local, remote } = pair.connect();
    const accepted = writeEndlessly(local.open("unidirectional"), total);
    pair.runFor(10_000);
    const theirs = only(remote);
    theirs.keeps = false;
    const sizes = (): number[] => [
      pair.client.endpoint.stats().memoryBytes,
      pair.server.endpoint.stats().memoryBytes,
    ];
    const before = sizes();
    while (!theirs.isEnded && theirs.receivedBytes < total) {
      theirs.drain(1_000_000);
      pair.runFor(30);
    }
    assert.equal(accepted.bytes, total);
    for (const [index, size] of sizes().entries()) {
      assert(size <= (before[index] ?? 0) + (4 << 20), `${size}`);
    }
  });

  it("F10: a stream whose reader stopped does not hold up the others", () => {
    const pair = new EnginePair({}, { behaviour: ignore });
    const { local, remote } = pair.connect();
    for (let count = 0; count < 5; count += 1) {
      writeEndlessly(local.open("unidirectional"));
    }
    pair.runFor(10_000);
    const stuck = remote.streams.length;
    remote.behaviour = () => {};
    const small = local.send("small", "unidirectional");
    pair.run(() => remote.streams[stuck]?.isEnded === true && small.isAcknowledged);
    assert.equal(remote.streams[stuck]?.text, "small");
  });

  it("bounds what all streams of a connection hold together", () => {
    const transport = { receiveWindow: 3_000_000 };
    const pair = new EnginePair({}, { behaviour: ignore, transport });
    const { local } = pair.connect();
    const accepted = Array.from({ length: 20 }, () => writeEndlessly(local.open()));
    pair.runFor(60_000);
    const received = pair.server.incoming[0]?.connection.stats().bytesReceived ?? 0;
    assert(received > 3_000_000 && received < 3_500_000, `${received}`);
    const total = accepted.reduce((sum, { bytes }) => sum + bytes, 0);
    assert(total <= 3_000_000 + defaultTransportOptions.sendWindow);
  });

  it("bounds what is kept for sending", () => {
    const transport = { sendWindow: 500_000 };
    const pair = new EnginePair({}, { behaviour: ignore }, { transport });
    const { local } = pair.connect();
    // Nothing is acknowledged any more.
    pair.network.tap = ({ from, bytes }) => (from === pair.client.address ? bytes : undefined);
    const accepted = writeEndlessly(local.open());
    pair.runFor(5_000);
    assert.equal(accepted.bytes, 500_000);
  });

  it("writable comes after a write that took less than all, on a stream and on a whole connection", () => {
    const transport = { receiveWindow: 200_000, streamReceiveWindow: 150_000 };
    const pair = new EnginePair({}, { behaviour: ignore, transport });
    const { local, remote } = pair.connect();
    const one = local.open("unidirectional");
    const two = local.open("unidirectional");
    assert.equal(one.stream.write(new Uint8Array(160_000)), 150_000);
    // What is left for the connection is less than the stream would take.
    assert.equal(two.stream.write(new Uint8Array(60_000)), 50_000);
    pair.runFor(2_000);
    assert.equal(one.writableCalls + two.writableCalls, 0);
    for (const stream of remote.streams) {
      stream.drain();
    }
    pair.runFor(2_000);
    assert.deepEqual([one.writableCalls, two.writableCalls], [1, 1]);
    pair.runFor(2_000);
    assert.deepEqual([one.writableCalls, two.writableCalls], [1, 1]);
  });

  // noq kept each packet's data as a chunk of its own, and closed the connection above 2048 of them.
  for (const size of [100, 200, 400, 600, 1_000]) {
    it(`F7: keeps messages of ${size} bytes, one per packet, for a reader that does not read`, () => {
      const pair = new EnginePair({ link: { delayMs: 1 } }, { behaviour: ignore });
      const { local, remote } = pair.connect();
      const stream = local.open("unidirectional");
      const message = new Uint8Array(size);
      let accepted = 0;
      for (let taken = size; taken === size; accepted += taken) {
        taken = stream.stream.write(message);
        pair.runFor(0.3);
      }
      pair.runFor(5_000);
      assert.equal(remote.cause ?? local.cause, undefined);
      assert(accepted >= defaultTransportOptions.streamReceiveWindow, `${accepted}`);
      const theirs = only(remote);
      theirs.drain();
      pair.runFor(1_000);
      theirs.drain();
      assert.equal(theirs.receivedBytes, accepted);
    });
  }

  it("survives loss and reordering with windows far above the default", () => {
    const transport = { streamReceiveWindow: 16_000_000, sendWindow: 64_000_000 };
    const link = { delayMs: 50, jitterMs: 2, loss: 0.001, bandwidth: 50_000_000 };
    for (let seed = 1; seed <= 3; seed += 1) {
      const pair = new EnginePair({ seed, link }, { transport, behaviour: ignore }, { transport });
      const { local, remote } = pair.connect();
      const stream = local.open("unidirectional");
      const accepted = writeEndlessly(stream, 30_000_000);
      pair.runFor(5_000);
      const theirs = only(remote);
      theirs.reads = true;
      theirs.keeps = false;
      theirs.drain();
      pair.run(() => theirs.receivedBytes === 30_000_000 || remote.cause !== undefined);
      assert.equal(remote.cause, undefined);
      assert.equal(accepted.bytes, 30_000_000);
    }
  });
});

/** Writes whenever there is room, `limit` bytes at most; counts what was accepted. */
function writeEndlessly(
  recorded: RecordedStream,
  limit: number = Number.POSITIVE_INFINITY,
): { bytes: number } {
  const accepted = { bytes: 0 };
  const go = (): void => {
    for (;;) {
      const piece = chunk.subarray(0, Math.min(chunk.length, limit - accepted.bytes));
      const taken = recorded.stream.write(piece);
      accepted.bytes += taken;
      if (taken < piece.length || accepted.bytes === limit) {
        return;
      }
    }
  };
  recorded.onWritable = go;
  go();
  return accepted;
}

function only(connection: RecordedConnection): RecordedStream {
  const [stream] = connection.streams;
  assert(stream !== undefined && connection.streams.length === 1);
  return stream;
}
