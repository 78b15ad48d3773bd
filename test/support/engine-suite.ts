// What the contract of src/engine/engine.ts promises of every engine with web credentials, and of every two of them.

import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { inspect } from "node:util";
import {
  type CloseCause,
  type Engine,
  EngineError,
  type StreamDirection,
} from "../../src/engine/engine.ts";
import {
  certifiedKey,
  createLivePki,
  derOf,
  LivePair,
  type LivePki,
  liveServerName,
} from "./live-peers.ts";
import {
  ignore,
  type RecordedConnection,
  type RecordedStream,
  readOnly,
  type StreamBehaviour,
  writeAll,
} from "./recorded-connection.ts";
import { TestAuthority } from "./test-pki.ts";

export interface SuiteEngines {
  readonly client: Engine;
  readonly server: Engine;
}

/** No double rounds it, which all engines can send. */
const largeCode = 1n << 61n;
const minInitialDatagram = 1_200;

/** @param skip why the engines cannot be had here; `engines` is not called then */
export function engineSuite(name: string, engines: () => SuiteEngines, skip: string | false): void {
  describe(name, { skip }, () => {
    let pki: LivePki;
    before(async () => {
      pki = await createLivePki();
    });
    const pairOf = (
      server?: ConstructorParameters<typeof LivePair>[2],
      client?: ConstructorParameters<typeof LivePair>[3],
    ): LivePair => new LivePair(engines(), pki, server, client);

    describe("handshakes", () => {
      it("tell both sides of the protocol, and of what the other has shown", async () => {
        using pair = pairOf({ alpns: ["a", "b"] });
        const { local, remote } = await pair.connect({ alpns: ["b", "c"] });
        assert.equal(local.info?.alpn, "b");
        assert.equal(remote.info?.alpn, "b");
        assert.deepEqual(chainOf(local), pki.server.chain.map(hex));
        assert.deepEqual(chainOf(remote), []);
        assert.equal(local.info?.earlyData, "none");
        assert.equal(local.connection.role, "client");
        assert.equal(remote.connection.role, "server");
        assert.deepEqual(local.connection.remoteAddress, pair.server.address);
        assert.deepEqual(remote.connection.remoteAddress, pair.client.address);
        assert.equal(pair.server.endpoint.stats().handshakes, 0);
        assert.equal(pair.server.endpoint.stats().connections, 1);
      });

      for (const key of ["rsa", "ecdsa", "ecdsa-p384", "ed25519"] as const) {
        it(`work with certificates of ${key}, by an authority between`, async () => {
          const issuer = await TestAuthority.create({ key, intermediate: true });
          const certificate = certifiedKey(await issuer.server([liveServerName], { key }));
          using pair = pairOf(
            { credentials: { type: "web", certificate } },
            { credentials: { type: "web", serverAuthorities: [derOf(issuer)] } },
          );
          const { local } = await pair.connect();
          assert.deepEqual(chainOf(local), certificate.chain.map(hex));
        });
      }

      it("reach a server by its address", async () => {
        using pair = pairOf();
        await pair.connect({ expected: { type: "web", serverName: "127.0.0.1" } });
      });

      it("fail for another name, another address, another authority, and a date that has passed", async () => {
        const stranger = await TestAuthority.create({ name: "Stranger" });
        const past = new Date(Date.now() - 30 * 86_400_000);
        const dates = { notBefore: past, notAfter: new Date(past.getTime() + 86_400_000) };
        const expired = certifiedKey(await pki.issuer.server([liveServerName], dates));
        const foreign = certifiedKey(await stranger.server([liveServerName]));
        const cases = [
          { what: "name", serverName: "other.test", certificate: pki.server },
          { what: "address", serverName: "127.0.0.2", certificate: pki.server },
          { what: "part of the name", serverName: "test", certificate: pki.server },
          { what: "authority", serverName: liveServerName, certificate: foreign },
          { what: "date", serverName: liveServerName, certificate: expired },
        ];
        for (const { what, serverName, certificate } of cases) {
          using pair = pairOf({ credentials: { type: "web", certificate } });
          const local = pair.client.dial(pair.server, { expected: { type: "web", serverName } });
          await pair.until(() => local.cause !== undefined);
          assert(isAlert(local.cause, "local"), `${what}: ${describeCause(local.cause)}`);
          assert.equal(local.info, undefined, what);
          const remote = pair.server.incoming[0];
          await pair.until(() => remote?.cause !== undefined);
          assert(isAlert(remote?.cause, "peer"), `${what}: ${describeCause(remote?.cause)}`);
        }
      });

      it("fail without a common protocol", async () => {
        using pair = pairOf({ alpns: ["a"] });
        const local = pair.client.dial(pair.server, { alpns: ["b"] });
        await pair.until(() => local.cause !== undefined);
        // no_application_protocol (RFC 7301 §3.2).
        assert(local.cause?.type === "transport" && local.cause.code === 0x178n);
        assert.equal(local.cause.origin, "peer");
      });

      it("are refused where no protocol is set, and go on when one is", async () => {
        using pair = pairOf({ alpns: [] });
        const local = pair.client.dial(pair.server);
        await pair.until(() => local.cause !== undefined);
        assert(isRefusal(local.cause), describeCause(local.cause));
        assert.equal(pair.server.incoming.length, 0);
        pair.server.endpoint.setAlpns(["later"]);
        await pair.connect({ alpns: ["later"] });
      });

      it("ask clients for certificates, or not, or insist on them", async () => {
        const certificate = certifiedKey(await pki.issuer.client("client.test"));
        const stranger = await TestAuthority.create({ name: "Stranger" });
        const foreign = certifiedKey(await stranger.client("client.test"));
        const cases = [
          { asks: "no", shows: certificate, seen: [] },
          { asks: "may", shows: undefined, seen: [] },
          { asks: "may", shows: certificate, seen: certificate.chain.map(hex) },
          { asks: "may", shows: foreign, seen: undefined },
          { asks: "must", shows: undefined, seen: undefined },
          { asks: "must", shows: certificate, seen: certificate.chain.map(hex) },
          { asks: "must", shows: foreign, seen: undefined },
          // A server's certificate is not a client's.
          { asks: "must", shows: pki.server, seen: undefined },
        ] as const;
        for (const [index, { asks, shows, seen }] of cases.entries()) {
          const clientCertificates = {
            authorities: [pki.authority],
            required: asks === "must",
          };
          using pair = pairOf(
            {
              credentials: {
                type: "web",
                certificate: pki.server,
                ...(asks === "no" ? {} : { clientCertificates }),
              },
            },
            {
              credentials: {
                type: "web",
                serverAuthorities: [pki.authority],
                ...(shows === undefined ? {} : { certificate: shows }),
              },
            },
          );
          const local = pair.client.dial(pair.server);
          const remote = () => pair.server.incoming[0];
          await pair.until(() => (remote()?.info ?? remote()?.cause) !== undefined);
          if (seen === undefined) {
            assert(
              isAlert(remote()?.cause, "local"),
              `${index}: ${describeCause(remote()?.cause)}`,
            );
            await pair.until(() => local.cause !== undefined);
            assert(isAlert(local.cause, "peer"), `${index}: ${describeCause(local.cause)}`);
          } else {
            assert.deepEqual(chainOf(remote()), seen, String(index));
          }
        }
      });

      it("show a certificate that was set later", async () => {
        using pair = pairOf();
        const first = await pair.connect();
        const later = certifiedKey(await pki.issuer.server([liveServerName]));
        pair.server.endpoint.setCertificate(later);
        // From another endpoint, because one that has been there may return without seeing a certificate.
        const second = pair.anotherClient().dial(pair.server);
        await pair.until(() => second.info !== undefined);
        assert.deepEqual(chainOf(first.local), pki.server.chain.map(hex));
        assert.deepEqual(chainOf(second), later.chain.map(hex));
        const stream = first.local.send("still there");
        await pair.until(() => stream.text === "still there");
      });

      it("need an authority, a name, a protocol and a place to go to", () => {
        using pair = pairOf({}, { credentials: { type: "web" } });
        const { client, server } = pair;
        assert.throws(() => client.dial(server), isInvalid);
        using trusting = pairOf();
        const cases = [
          { expected: { type: "web", serverName: "not a name" } },
          { expected: { type: "web", serverName: "" } },
          { expected: { type: "raw-key", publicKey: new Uint8Array(32) } },
          { alpns: [] },
          { alpns: ["a".repeat(256)] },
          { remote: { family: 4, host: "10.0.0.1", port: 0 } },
          { transport: { initialMtu: 1_000 } },
        ] as const;
        for (const options of cases) {
          assert.throws(
            () => trusting.client.dial(trusting.server, options),
            isInvalid,
            JSON.stringify(options),
          );
        }
        assert.throws(() => pairOf({ credentials: { type: "web" } }), isInvalid);
      });
    });

    describe("limits", () => {
      it("have a client prove its address from the first handshake on", async () => {
        using pair = pairOf({ incoming: { retryAbove: 0 } });
        const { local } = await pair.connect();
        assert.equal(pair.server.endpoint.stats().retried, 1);
        const stream = local.send("proven");
        await pair.until(() => stream.text === "proven");
      });

      it("refuse what comes above them", async () => {
        using pair = pairOf({ incoming: { maxConnections: 1 } });
        await pair.connect();
        const local = pair.client.dial(pair.server);
        await pair.until(() => local.cause !== undefined);
        assert(isRefusal(local.cause), describeCause(local.cause));
        assert.equal(pair.server.endpoint.stats().refused, 1);
        assert.equal(pair.server.incoming.length, 1);
      });

      it("drop handshakes that do not end", async () => {
        using pair = pairOf({ incoming: { handshakeTimeoutMs: 100, maxHandshakes: 1 } });
        let sent = 0;
        pair.network.tap = ({ from, bytes }) => {
          if (from !== pair.client.address) {
            return bytes;
          }
          sent += 1;
          return sent === 1 ? bytes : undefined;
        };
        pair.client.dial(pair.server);
        await pair.until(() => pair.server.incoming[0]?.cause !== undefined);
        assert.deepEqual(pair.server.incoming[0]?.cause, { type: "timeout", handshaking: true });
        await pair.until(() => pair.server.endpoint.stats().connections === 0);
        pair.network.tap = undefined;
        await pair.connect();
      });
    });

    describe("streams", () => {
      it("carry bytes both ways, and end", async () => {
        using pair = pairOf();
        const { local, remote } = await pair.connect();
        const streams = ["", "a", "x".repeat(100_000)].map((text) => ({
          text,
          sent: echoed(text),
        }));
        function echoed(text: string): RecordedStream {
          const stream = local.open();
          writeAll(stream, Buffer.from(text));
          return stream;
        }
        await pair.until(() => streams.every(({ sent }) => sent.isEnded && sent.isAcknowledged));
        for (const { text, sent } of streams) {
          assert.equal(sent.text, text);
          assert.equal(sent.stream.receiveState, "finished");
        }
        assert.deepEqual(
          remote.streams.map(({ stream }) => stream.id).sort((a, b) => a - b),
          streams.map(({ sent }) => sent.stream.id),
        );
        await pair.until(() => remote.streams.every(({ isAcknowledged }) => isAcknowledged));
      });

      it("go one way, from either side", async () => {
        using pair = pairOf();
        const { local, remote } = await pair.connect();
        for (const [from, to] of [
          [local, remote],
          [remote, local],
        ] as const) {
          const sent = from.send("one way", "unidirectional");
          await pair.until(() => to.streams.at(-1)?.isEnded === true && sent.isAcknowledged);
          const received = to.streams.at(-1);
          assert.equal(received?.text, "one way");
          assert.equal(received?.stream.direction, "unidirectional");
          assert.equal(received?.stream.initiator, "peer");
          assert.equal(sent.stream.receiveState, "none");
          assert.throws(() => received?.stream.write(Buffer.from("x")), isEnded);
        }
      });

      it("are opened by servers too, and have the numbers of RFC 9000 §2.1", async () => {
        using pair = pairOf();
        const { local, remote } = await pair.connect();
        const ids = (from: RecordedConnection): number[] =>
          (["bidirectional", "unidirectional"] as const).map(
            (direction) => from.send("x", direction).stream.id,
          );
        assert.deepEqual(
          [ids(local), ids(local)],
          [
            [0, 2],
            [4, 6],
          ],
        );
        assert.deepEqual(
          [ids(remote), ids(remote)],
          [
            [1, 3],
            [5, 7],
          ],
        );
        await pair.until(() => local.streams.length === 4 && remote.streams.length === 4);
      });

      it("may be answered while they are open, and finished without bytes", async () => {
        using pair = pairOf({ behaviour: readOnly });
        const { local, remote } = await pair.connect();
        const asking = local.open();
        asking.stream.write(Buffer.from("question"));
        await pair.until(() => remote.streams[0]?.text === "question");
        const answering = remote.streams[0];
        assert(answering !== undefined);
        answering.stream.write(Buffer.from("answer"), true);
        await pair.until(() => asking.isEnded && answering.isAcknowledged);
        assert.equal(asking.text, "answer");
        assert(!answering.isEnded);
        asking.stream.write(Buffer.from("!"));
        asking.stream.finish();
        asking.stream.finish();
        await pair.until(() => answering.isEnded && asking.isAcknowledged);
        assert.equal(answering.text, "question!");
        assert.throws(() => asking.stream.write(Buffer.from("x")), isEnded);
      });

      it("say what was acknowledged while the other half is open", async () => {
        using pair = pairOf({ behaviour: readOnly });
        const { local, remote } = await pair.connect();
        const stream = local.send("all of it");
        await pair.until(() => stream.isAcknowledged);
        assert.equal(remote.streams[0]?.text, "all of it");
        assert.equal(local.connection.stats().bytesUnacknowledged, 0);
      });

      it("carry codes of resets and stops", async () => {
        using pair = pairOf({ behaviour: readOnly });
        const { local, remote } = await pair.connect();
        const reset = local.open();
        reset.stream.write(Buffer.from("x"));
        const stopped = local.open();
        stopped.stream.write(Buffer.from("y"));
        await pair.until(() => remote.streams.length === 2);
        reset.stream.reset(largeCode);
        remote.streams[1]?.stream.stop(largeCode);
        await pair.until(
          () => remote.streams[0]?.isEnded === true && stopped.stoppedWith !== undefined,
        );
        assert.equal(remote.streams[0]?.stream.receiveState, "reset");
        assert.equal(remote.streams[0]?.stream.resetCode, largeCode);
        assert.equal(stopped.stoppedWith, largeCode);
        assert.equal(remote.streams[1]?.stream.receiveState, "stopped");
        assert.throws(() => stopped.stream.write(Buffer.from("x")), isEnded);
        assert.throws(() => reset.stream.write(Buffer.from("x")), isEnded);
        assert.throws(() => stopped.stream.reset(1n << 62n), RangeError);
      });

      it("reset with nothing written, and half of them goes on", async () => {
        using pair = pairOf({ behaviour: readOnly });
        const { local, remote } = await pair.connect();
        const stream = local.open();
        stream.stream.reset(3n);
        await pair.until(() => remote.streams[0]?.isEnded === true);
        assert.equal(remote.streams[0]?.stream.resetCode, 3n);
        remote.streams[0]?.stream.write(Buffer.from("anyway"), true);
        await pair.until(() => stream.isEnded);
        assert.equal(stream.text, "anyway");
      });

      it("tell a reader that is behind of a reset", async () => {
        let unread: bigint | undefined;
        const behaviour: StreamBehaviour = (stream) => {
          stream.reads = false;
          Object.assign(stream, { resetUnread: (code: bigint) => (unread = code) });
        };
        using pair = pairOf({ behaviour });
        const { local, remote } = await pair.connect();
        const stream = local.open();
        stream.stream.write(Buffer.from("never read"));
        await pair.until(() => remote.streams.length === 1);
        stream.stream.reset(9n);
        await pair.until(() => unread !== undefined);
        assert.equal(unread, 9n);
        assert.equal(remote.streams[0]?.stream.receiveState, "reset");
        assert.equal(remote.streams[0]?.stream.read(), undefined);
      });

      it("take no more than their reader's windows, and go on when it reads", async () => {
        const total = 64 << 20;
        const window = 256 << 10;
        using pair = pairOf({
          behaviour: (stream) => {
            stream.reads = false;
            stream.keeps = false;
          },
          transport: { streamReceiveWindow: window, receiveWindow: 2 * window },
        });
        const { local, remote } = await pair.connect();
        const stream = local.open();
        const chunk = new Uint8Array(64 << 10).fill(7);
        let written = 0;
        const go = (): void => {
          while (written < total) {
            const bytes = chunk.subarray(0, Math.min(chunk.length, total - written));
            const taken = stream.stream.write(bytes, written + bytes.length === total);
            written += taken;
            if (taken < bytes.length) {
              return;
            }
          }
        };
        stream.onWritable = go;
        go();
        await pair.until(() => remote.streams.length === 1);
        const reader = remote.streams[0];
        assert(reader !== undefined);
        let most = 0;
        while (!reader.isEnded) {
          const before = reader.receivedBytes;
          await pair.until(() => reader.drain(96 << 10) > 0 || reader.isEnded);
          most = Math.max(most, written - before);
        }
        assert.equal(reader.receivedBytes, total);
        // What the reader has not read, and what the writer's side has taken beyond that for sending.
        const sendWindow = 10_000_000;
        assert(most <= 2 * window + sendWindow, `${most} bytes are held`);
        await pair.until(() => stream.isAcknowledged);
      });

      it("stop at a reader that does not read", async () => {
        const window = 128 << 10;
        using pair = pairOf({
          behaviour: ignore,
          transport: { streamReceiveWindow: window, receiveWindow: window },
        });
        const { local, remote } = await pair.connect({ transport: { sendWindow: 1 << 20 } });
        const stream = local.open();
        const chunk = new Uint8Array(32 << 10);
        let written = 0;
        const go = (): void => {
          for (let taken = -1; taken !== 0; written += Math.max(taken, 0)) {
            taken = stream.stream.write(chunk);
          }
        };
        stream.onWritable = go;
        go();
        await pair.until(() => written >= window && remote.streams.length === 1);
        // Another stream still brings a whole round trip, after which the writer has been stopped.
        local.connection.ping();
        const { datagramsReceived } = local.connection.stats();
        await pair.until(() => local.connection.stats().datagramsReceived > datagramsReceived);
        assert(written <= window + (1 << 20), `${written} bytes were taken`);
        assert.equal(remote.streams[0]?.receivedBytes, 0);
        remote.streams[0]?.stream.stop(1n);
        await pair.until(() => stream.stoppedWith === 1n);
      });

      it("give their credit back, 10,000 in a row", async () => {
        using pair = pairOf({ transport: { maxBidirectionalStreams: 20 } });
        const { local } = await pair.connect();
        await runCalls(pair, local, 10_000, 10);
      });

      for (const end of ["reset", "stop", "both", "answer early"] as const) {
        it(`give their credit back after ${end}`, async () => {
          using pair = pairOf({
            behaviour: (stream) => {
              if (end === "answer early") {
                stream.stream.stop(1n);
                stream.stream.write(Buffer.from("no"), true);
              }
            },
            transport: { maxBidirectionalStreams: 10 },
          });
          const { local } = await pair.connect();
          for (let count = 0; count < 100; count += 1) {
            const stream = await openWhenPossible(pair, local, "bidirectional");
            stream.stream.write(new Uint8Array(2_000));
            if (end !== "answer early") {
              await pair.until(() => stream.stream.write(Buffer.from("x")) === 1);
            }
            if (end === "reset" || end === "both") {
              stream.stream.reset(1n);
            }
            if (end === "stop" || end === "both") {
              stream.stream.stop(2n);
            }
            if (end === "stop") {
              stream.stream.finish();
            }
            if (end === "reset") {
              stream.stream.stop(3n);
            }
            if (end === "answer early") {
              await pair.until(() => stream.isEnded);
              stream.stream.reset(4n);
            }
          }
          assert.equal(local.cause, undefined);
        });
      }

      it("wait for the peer's credit", async () => {
        for (const direction of ["bidirectional", "unidirectional"] as const) {
          using pair = pairOf({
            behaviour: readOnly,
            transport: { maxBidirectionalStreams: 2, maxUnidirectionalStreams: 2 },
          });
          const { local, remote } = await pair.connect();
          const streams = [local.send("1", direction), local.send("2", direction)];
          assert.equal(local.connection.openStream(direction), undefined);
          await pair.until(() => remote.streams.length === 2);
          assert.deepEqual(local.available, []);
          for (const { stream } of remote.streams) {
            stream.finish();
          }
          await pair.until(() => local.available.length > 0);
          assert.deepEqual(local.available, [direction]);
          await pair.until(() => streams.every(({ isAcknowledged }) => isAcknowledged));
          local.send("3", direction);
          await pair.until(() => remote.streams.length === 3);
        }
      });

      it("cannot be opened before the handshake is done, and then can", async () => {
        using pair = pairOf();
        const local = pair.client.dial(pair.server);
        assert.equal(local.connection.openStream("bidirectional"), undefined);
        await pair.until(() => local.available.length === 1);
        const stream = local.send("now");
        await pair.until(() => stream.text === "now");
      });

      it("take priorities", async () => {
        using pair = pairOf();
        const { local } = await pair.connect();
        const streams = [-1_000, -1, 0, 1, 1_000].map((priority) => {
          const stream = local.open();
          stream.stream.setPriority(priority);
          writeAll(stream, new Uint8Array(50_000));
          return stream;
        });
        await pair.until(() => streams.every(({ receivedBytes }) => receivedBytes === 50_000));
      });

      it("carry megabytes both ways at once", async () => {
        using pair = pairOf({
          behaviour: (stream) => {
            stream.keeps = false;
            writeAll(stream, new Uint8Array(4 << 20));
          },
        });
        const { local } = await pair.connect();
        const stream = local.open();
        stream.keeps = false;
        writeAll(stream, new Uint8Array(4 << 20));
        await pair.until(() => stream.isEnded && stream.isAcknowledged);
        assert.equal(stream.receivedBytes, 4 << 20);
      });
    });

    describe("datagrams", () => {
      it("travel both ways", async () => {
        using pair = pairOf();
        const { local, remote } = await pair.connect();
        for (const [from, to] of [
          [local, remote],
          [remote, local],
        ] as const) {
          const size = from.connection.maxDatagramSize ?? 0;
          assert(size > 1_000);
          assert.equal(from.connection.sendDatagram(new Uint8Array(size).fill(5)), "sent");
          assert.equal(from.connection.sendDatagram(new Uint8Array(0)), "sent");
          assert.equal(from.connection.sendDatagram(new Uint8Array(70_000)), "too-large");
          await pair.until(() => to.datagrams.length === 2);
          assert.deepEqual(
            to.datagrams.map(({ length }) => length),
            [size, 0],
          );
        }
      });

      it("are not taken where the buffer is 0", async () => {
        using pair = pairOf({ transport: { datagramReceiveBuffer: 0 } });
        const { local } = await pair.connect();
        assert.equal(local.connection.maxDatagramSize, undefined);
        assert.equal(local.connection.sendDatagram(new Uint8Array(1)), "too-large");
      });

      it("wait when the buffer is full", async () => {
        using pair = pairOf({}, { transport: { datagramSendBuffer: 10_000 } });
        const { local, remote } = await pair.connect();
        let sent = 0;
        while (local.connection.sendDatagram(new Uint8Array(1_000)) === "sent") {
          sent += 1;
        }
        assert(sent >= 9 && sent <= 10, String(sent));
        await pair.until(() => local.datagramsWritableCalls === 1);
        assert.equal(local.connection.sendDatagram(new Uint8Array(1_000)), "sent");
        await pair.until(() => remote.datagrams.length === sent + 1);
      });
    });

    describe("ends", () => {
      it("carry codes and reasons, whoever closes", async () => {
        for (const closer of ["client", "server"] as const) {
          using pair = pairOf({ behaviour: readOnly });
          const { local, remote } = await pair.connect();
          const stream = local.open();
          stream.stream.write(Buffer.from("x"));
          await pair.until(() => remote.streams.length === 1);
          const [one, other] = closer === "client" ? [local, remote] : [remote, local];
          one.connection.close(largeCode, "that was all ✓");
          one.connection.close(1n, "not again");
          assert.equal(one.cause, undefined, "closed is never called inside close");
          await pair.until(() => one.cause !== undefined && other.cause !== undefined);
          const said = { type: "application", code: largeCode, reason: "that was all ✓" } as const;
          assert.deepEqual(one.cause, { ...said, origin: "local" });
          assert.deepEqual(other.cause, { ...said, origin: "peer" });
          assert.deepEqual(stream.closedWith, local.cause);
          assert.deepEqual(remote.streams[0]?.closedWith, remote.cause);
          assert.throws(() => one.connection.openStream("bidirectional"), isClosed);
          assert.throws(() => stream.stream.write(Buffer.from("x")), isClosed);
          await pair.until(() => pair.client.endpoint.stats().connections === 0);
          await pair.until(() => pair.server.endpoint.stats().connections === 0);
        }
      });

      it("take reasons of any length, and codes of 62 bits alone", async () => {
        using pair = pairOf();
        const { local, remote } = await pair.connect();
        assert.throws(() => local.connection.close(1n << 62n, ""), RangeError);
        assert.throws(() => local.connection.close(-1n, ""), RangeError);
        local.connection.close(1n, "äöü".repeat(10_000));
        await pair.until(() => remote.cause !== undefined);
        const { cause } = remote;
        assert(cause?.type === "application", inspect(cause));
        assert.match(cause.reason, /^äöüäöü/);
      });

      it("come when nothing arrives for the idle timeout", async () => {
        using pair = pairOf({}, { transport: { idleTimeoutMs: 300, keepAliveIntervalMs: 0 } });
        const { local, remote } = await pair.connect();
        pair.network.tap = () => undefined;
        await pair.until(() => local.cause !== undefined && remote.cause !== undefined);
        assert.deepEqual(local.cause, { type: "timeout", handshaking: false });
        assert.deepEqual(remote.cause, { type: "timeout", handshaking: false });
      });

      it("do not come while packets keep the connection alive", async () => {
        using pair = pairOf(
          { transport: { keepAliveIntervalMs: 0 } },
          { transport: { idleTimeoutMs: 600, keepAliveIntervalMs: 50 } },
        );
        const { local, remote } = await pair.connect();
        const start = performance.now();
        await pair.until(() => performance.now() - start > 1_500 || local.cause !== undefined);
        assert.equal(local.cause, undefined);
        assert.equal(remote.cause, undefined);
        local.connection.setKeepAlive(0);
        await pair.until(() => local.cause !== undefined);
        assert.deepEqual(local.cause, { type: "timeout", handshaking: false });
      });

      it("come when the server does not answer", async () => {
        using pair = pairOf();
        pair.network.tap = () => undefined;
        const local = pair.client.dial(pair.server, { transport: { idleTimeoutMs: 200 } });
        await pair.until(() => local.cause !== undefined);
        assert.deepEqual(local.cause, { type: "timeout", handshaking: true });
      });

      it("come by a stateless reset when the peer has forgotten the connection", async () => {
        using pair = pairOf();
        const { local, remote } = await pair.connect();
        remote.connection.close(1n, "");
        pair.network.tap = () => undefined;
        await pair.until(() => pair.server.endpoint.stats().connections === 0);
        pair.network.tap = undefined;
        local.connection.ping();
        await pair.until(() => local.cause !== undefined);
        assert.deepEqual(local.cause, { type: "reset" });
      });

      it("are told when an endpoint is destroyed, which takes nothing afterwards", async () => {
        const pair = pairOf({ behaviour: readOnly });
        const { local } = await pair.connect();
        const stream = local.open();
        pair.client.endpoint.destroy();
        pair.client.endpoint.destroy();
        assert(local.cause?.type === "application" && local.cause.origin === "local");
        assert.deepEqual(stream.closedWith, local.cause);
        pair.client.endpoint.receive(pair.server.address, new Uint8Array(1_200));
        assert.throws(() => pair.client.dial(pair.server), isClosed);
        assert.throws(() => pair.client.endpoint.stats(), isClosed);
        pair[Symbol.dispose]();
      });

      it("come with code 1 when a handler throws, and others go on", async () => {
        const problem = new Error("a handler's");
        using pair = pairOf();
        const { local, remote } = await pair.connect();
        const other = await pair.connect();
        remote.behaviour = () => {
          throw problem;
        };
        local.send("x");
        await pair.until(() => local.cause !== undefined && remote.cause !== undefined);
        assert(local.cause?.type === "application" && local.cause.code === 1n);
        assert.deepEqual(pair.server.handlerErrors, [problem]);
        const stream = other.local.send("still there");
        await pair.until(() => stream.text === "still there");
      });
    });

    describe("bad packets", () => {
      it("do no harm: garbage, and datagrams that were changed on the way", async () => {
        using pair = pairOf();
        const { local, remote } = await pair.connect();
        const random = new Random(1);
        pair.network.tap = ({ from, to, bytes }) => {
          const target = to === pair.server.address ? pair.server : pair.client;
          target.endpoint.receive(from, random.bytes(1 + random.below(1_500)));
          const changed = bytes.slice();
          changed[random.below(changed.length)] = random.below(256);
          target.endpoint.receive(from, changed);
          target.endpoint.receive(from, bytes.subarray(0, random.below(bytes.length)));
          return bytes;
        };
        for (let count = 0; count < 200; count += 1) {
          const stream = local.send(`call ${count}`);
          await pair.until(() => stream.isEnded);
          assert.equal(stream.text, `call ${count}`);
        }
        assert.equal(local.cause, undefined);
        assert.equal(remote.cause, undefined);
      });

      it("that begin handshakes leave nothing behind", async () => {
        using pair = pairOf({ incoming: { handshakeTimeoutMs: 200 } });
        const random = new Random(2);
        const first: Uint8Array[] = [];
        pair.network.tap = ({ bytes }) => {
          first.push(bytes);
          return undefined;
        };
        const dialed = pair.client.dial(pair.server);
        await pair.until(() => first.length > 0);
        dialed.connection.close(0n, "");
        const initial = first[0] ?? new Uint8Array(0);
        for (let count = 0; count < 2_000; count += 1) {
          const changed = initial.slice();
          for (let changes = random.below(4); changes >= 0; changes -= 1) {
            changed[random.below(count % 2 === 0 ? 60 : changed.length)] = random.below(256);
          }
          pair.server.endpoint.receive(pair.client.address, changed);
        }
        pair.server.endpoint.receive(pair.client.address, initial);
        await pair.until(
          () => pair.server.incoming.length > 0 && pair.server.endpoint.stats().connections === 0,
        );
        pair.network.tap = undefined;
        await pair.connect();
      });

      it("of other versions are answered with ours, when they are long enough", async () => {
        using pair = pairOf();
        const answers: Uint8Array[] = [];
        const from = { family: 4, host: "10.0.0.9", port: 9 } as const;
        pair.network.bind(from, (_, bytes) => answers.push(bytes));
        const packet = new Uint8Array(minInitialDatagram);
        packet.set([0xc0, 0xba, 0xba, 0xba, 0xba, 2, 7, 8, 3, 1, 2, 3]);
        pair.server.endpoint.receive(from, packet.subarray(0, minInitialDatagram - 1));
        pair.server.endpoint.receive(from, packet);
        await pair.until(() => answers.length > 0);
        await pair.connect();
        assert.equal(answers.length, 1);
        const answer = answers[0] ?? new Uint8Array(0);
        // RFC 8999 §6: the ids the other way round.
        assert.deepEqual([...answer.subarray(1, 12)], [0, 0, 0, 0, 3, 1, 2, 3, 2, 7, 8]);
        const versions = new DataView(answer.buffer, answer.byteOffset + 12);
        const listed = Array.from({ length: versions.byteLength / 4 }, (_, index) =>
          versions.getUint32(index * 4),
        );
        assert(listed.includes(1), String(listed));
      });

      it("that list other versions end a dial", async () => {
        using pair = pairOf();
        pair.network.tap = ({ from, bytes }) => {
          if (from === pair.client.address) {
            const destination = bytes.subarray(6, 6 + (bytes[5] ?? 0));
            const at = 6 + destination.length;
            const source = bytes.subarray(at + 1, at + 1 + (bytes[at] ?? 0));
            const answer = Uint8Array.of(
              ...[0x80, 0, 0, 0, 0, source.length, ...source],
              ...[destination.length, ...destination, 0xba, 0xba, 0xba, 0xba],
            );
            setImmediate(() => pair.client.endpoint.receive(pair.server.address, answer));
          }
          return undefined;
        };
        const local = pair.client.dial(pair.server);
        await pair.until(() => local.cause !== undefined);
        assert.deepEqual(local.cause, { type: "version-mismatch" });
      });
    });
  });
}

/** Echoes of some bytes, `parallel` at a time. */
async function runCalls(
  pair: LivePair,
  local: RecordedConnection,
  count: number,
  parallel: number,
): Promise<void> {
  let started = 0;
  const call = async (): Promise<void> => {
    while (started < count) {
      started += 1;
      const stream = await openWhenPossible(pair, local, "bidirectional");
      const ended = new Promise<void>((resolve) => {
        stream.onEnd = resolve;
      });
      stream.stream.write(Buffer.from("some bytes"), true);
      await ended;
      assert.equal(stream.text, "some bytes");
    }
  };
  // The timers of engines alone do not keep the process alive.
  const alive = setInterval(() => {}, 1_000);
  await Promise.all(Array.from({ length: parallel }, call));
  clearInterval(alive);
}

async function openWhenPossible(
  pair: LivePair,
  connection: RecordedConnection,
  direction: StreamDirection,
): Promise<RecordedStream> {
  for (;;) {
    const before = connection.available.length;
    try {
      return connection.open(direction);
    } catch (error) {
      assert(!(error instanceof EngineError));
      await pair.until(() => connection.available.length > before);
    }
  }
}

function chainOf(connection: RecordedConnection | undefined): string[] | undefined {
  const identity = connection?.info?.identity;
  return identity?.type === "web" ? identity.chain.map(hex) : undefined;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** A TLS alert (RFC 9001 §4.8). */
function isAlert(cause: CloseCause | undefined, origin: "local" | "peer"): boolean {
  return cause?.type === "transport" && cause.origin === origin && cause.code >> 8n === 1n;
}

/** CONNECTION_REFUSED (RFC 9000 §20.1). */
function isRefusal(cause: CloseCause | undefined): boolean {
  return cause?.type === "transport" && cause.origin === "peer" && cause.code === 2n;
}

function describeCause(cause: CloseCause | undefined): string {
  return JSON.stringify(cause, (_, value) => (typeof value === "bigint" ? String(value) : value));
}

function isInvalid(error: unknown): boolean {
  return error instanceof EngineError && error.code === "invalid-options";
}

function isEnded(error: unknown): boolean {
  return error instanceof EngineError && error.code === "stream-ended";
}

function isClosed(error: unknown): boolean {
  return error instanceof EngineError && error.code === "closed";
}

/** The same numbers for the same seed. */
class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** From 0 up to, but not including, `limit`. */
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 2 ** 32) * limit);
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}
