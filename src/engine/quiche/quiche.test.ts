import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { createLivePki, LivePair, type LivePki } from "../../../test/support/live-peers.ts";
import { quicheOrReason } from "../../../test/support/quiche-or-reason.ts";
import {
  type RecordedStream,
  readOnly,
  writeAll,
} from "../../../test/support/recorded-connection.ts";
import { nodePlatform } from "../../base/node-platform.ts";
import type { Platform } from "../../base/platform.ts";
import { EngineError } from "../engine.ts";
import { QuicheConnection } from "./quiche-connection.ts";

const { engine, skip } = quicheOrReason();

describe("quiche", { skip }, () => {
  let pki: LivePki;
  before(async () => {
    pki = await createLivePki();
  });
  const pairOf = (
    server?: ConstructorParameters<typeof LivePair>[2],
    client?: ConstructorParameters<typeof LivePair>[3],
  ): LivePair => new LivePair({ client: engine(), server: engine() }, pki, server, client);

  it("is not for peers, and says what is", () => {
    const options = {
      credentials: {
        type: "raw-key",
        publicKey: new Uint8Array(32),
        sign: () => new Uint8Array(64),
      },
      alpns: [],
      platform: { now: () => 0 } as never,
      transmit: () => {},
      handler: { incoming: () => {}, failed: () => {} },
    } as const;
    assert.throws(() => engine().createEndpoint(options), /^EngineError: .*use noq$/);
  });

  it("refuses to log keys and to export keying material, rather than not to do it", async () => {
    assert.throws(() => pairOf({ keyLog: () => {} }), isInvalid);
    using pair = pairOf();
    const dialing = pair.client.dial(pair.server);
    const tooEarly = (error: unknown): boolean =>
      error instanceof EngineError && error.code === "not-connected";
    const exporting = (): Uint8Array =>
      dialing.connection.exportKeyingMaterial(32, "label", new Uint8Array());
    assert.throws(exporting, tooEarly);
    await pair.until(() => dialing.info !== undefined);
    assert.throws(exporting, isInvalid);
  });

  it("sends no code that it would have to round", async () => {
    using pair = pairOf();
    const { local } = await pair.connect();
    const stream = local.open();
    const odd = (1n << 53n) + 1n;
    assert.throws(() => stream.stream.reset(odd), RangeError);
    assert.throws(() => stream.stream.stop(odd), RangeError);
    assert.throws(() => local.connection.close(odd, ""), RangeError);
    stream.stream.write(Buffer.from("still there"), true);
    await pair.until(() => stream.text === "still there");
  });

  it("forgets streams that ended, in whatever way", async () => {
    using pair = pairOf({ behaviour: readOnly });
    const { local, remote } = await pair.connect();
    const ends: ((ours: RecordedStream, theirs: RecordedStream) => void)[] = [
      (ours, theirs) => {
        ours.stream.reset(1n);
        theirs.stream.finish();
      },
      (ours, theirs) => {
        ours.stream.finish();
        theirs.stream.reset(2n);
      },
      (ours, theirs) => {
        ours.stream.reset(3n);
        theirs.stream.reset(4n);
      },
      (ours, theirs) => {
        theirs.stream.stop(5n);
        theirs.stream.write(Buffer.from("no"), true);
        ours.stream.write(Buffer.from("more"));
      },
      (ours, theirs) => {
        ours.stream.finish();
        theirs.stream.finish();
      },
    ];
    for (let count = 0; count < 100; count += 1) {
      const ours = local.open();
      ours.stream.write(new Uint8Array(3_000));
      await pair.until(() => remote.streams.length > count);
      const theirs = remote.streams[count];
      assert(theirs !== undefined);
      ends[count % ends.length]?.(ours, theirs);
    }
    const counts = (): number[] => [local, remote].map((each) => streamCountOf(each.connection));
    await pair.until(() => {
      local.connection.ping();
      remote.connection.ping();
      return counts().every((count) => count === 0);
    });
  });

  it("leaves credit to streams of a peer whose streams are all stopped", async () => {
    using pair = pairOf({
      behaviour: (stream) => stream.stream.stop(1n),
      transport: { maxUnidirectionalStreams: 8 },
    });
    const { local, remote } = await pair.connect();
    for (let count = 0; count < 100; count += 1) {
      await pair.until(() => remote.streams.length === count);
      let stream = local.connection.openStream("unidirectional");
      const before = local.available.length;
      if (stream === undefined) {
        await pair.until(() => local.available.length > before);
        stream = local.connection.openStream("unidirectional");
      }
      stream?.write(Buffer.from("x"), true);
      await pair.until(() => remote.streams.length === count + 1);
    }
    assert.equal(local.cause, undefined);
  });

  for (const moment of ["before", "after"] as const) {
    it(`says that it is closed ${moment} a timer wants the handshake sent again`, async () => {
      let onTimer = (): void => {};
      const setTimer: Platform["setTimer"] = (delayMs, callback) =>
        nodePlatform.setTimer(delayMs, () => {
          const calls = moment === "before" ? [onTimer, callback] : [callback, onTimer];
          for (const call of calls) {
            call();
          }
        });
      using pair = pairOf({}, { platform: { ...nodePlatform, setTimer } });
      const dialing = pair.client.dial(pair.server);
      pair.network.tap = ({ from, bytes }) =>
        dialing.info === undefined || from === pair.client.address ? bytes : undefined;
      onTimer = () => {
        if (dialing.info !== undefined && dialing.cause === undefined) {
          dialing.connection.close(7n, "enough");
          assert(dialing.connection instanceof QuicheConnection);
          // The next timer is due before the turn comes to its end.
          const { native } = dialing.connection;
          for (let due = Number.POSITIVE_INFINITY; performance.now() < due + 2; ) {
            due = native.timeout() === 0 ? Math.min(due, performance.now()) : due;
          }
        }
      };
      await pair.until(() => pair.server.incoming[0]?.cause !== undefined);
      const said = { type: "application", code: 7n, reason: "enough" };
      assert.deepEqual(pair.server.incoming[0]?.cause, { ...said, origin: "peer" });
      assert.deepEqual(dialing.cause, { ...said, origin: "local" });
    });
  }

  it("is left alone when it is closed and does not stop sending", async () => {
    using pair = pairOf();
    const { local } = await pair.connect();
    assert(local.connection instanceof QuicheConnection);
    const { native } = local.connection;
    native.send = () => (native.localError() === null ? null : [51, undefined]);
    local.connection.close(7n, "enough");
    await pair.until(() => local.cause !== undefined);
    assert.equal(pair.client.endpoint.stats().connections, 0);
  });

  it("sends packets of one size in one go", async () => {
    using pair = pairOf({ behaviour: readOnly });
    const { local } = await pair.connect();
    const sizes: number[] = [];
    pair.network.tap = ({ from, bytes }) => {
      if (from === pair.client.address) {
        sizes.push(bytes.length);
      }
      return bytes;
    };
    const stream = local.open();
    writeAll(stream, new Uint8Array(100_000));
    await pair.until(() => stream.isAcknowledged);
    assert(sizes.filter((size) => size === 1_200).length > 70, String(sizes));
  });
});

function isInvalid(error: unknown): boolean {
  return error instanceof EngineError && error.code === "invalid-options";
}

function streamCountOf(connection: unknown): number {
  assert(connection instanceof QuicheConnection);
  return connection.streamCount;
}
