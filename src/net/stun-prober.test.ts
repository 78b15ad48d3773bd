import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ManualPlatform, settled } from "../../test/support/manual-platform.ts";
import { parseSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import { VirtualNetwork } from "../testing/virtual-network.ts";
import { decodeStun, encodeStunError, encodeStunRequest, encodeStunSuccess } from "./stun.ts";
import {
  maxProbes,
  type StunAnswer,
  StunProbeError,
  type StunProbeErrorCode,
  StunProber,
} from "./stun-prober.ts";

const server = parseSocketAddress("192.0.2.1:3478");
const own = parseSocketAddress("198.51.100.1:9");

/** A prober whose requests the test sees. */
function probing() {
  const platform = new RandomPlatform();
  const sent: { readonly to: SocketAddress; readonly bytes: Uint8Array; readonly atMs: number }[] =
    [];
  const prober = new StunProber({
    platform,
    send: (to, bytes) => sent.push({ to, bytes: bytes.slice(), atMs: platform.now() }),
  });
  const lastId = (): Uint8Array => decodeStun(sent.at(-1)?.bytes ?? new Uint8Array(0)).id;
  return { platform, prober, sent, lastId };
}

/** Every id another one. */
class RandomPlatform extends ManualPlatform {
  override randomFill(into: Uint8Array): void {
    this.randomByte += 1;
    super.randomFill(into);
  }
}

function isCode(code: StunProbeErrorCode) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof StunProbeError);
    assert.equal(error.code, code);
    return true;
  };
}

test("StunProber learns the address that the server sees, and how long it took", async () => {
  const { platform, prober, sent, lastId } = probing();
  const answer = prober.probe(server);
  assert.deepEqual(
    sent.map(({ to }) => to),
    [server],
  );
  platform.advance(30);
  assert.ok(prober.handle(server, encodeStunSuccess(lastId(), own)));
  assert.deepEqual(await answer, { observer: server, address: own, latencyMs: 30 });
  assert.equal(platform.timers, 0);
});

test("StunProber asks again after 0.5, 1.5, 3.5 s and so on, seven times at most (RFC 8489 §6.2.1)", async () => {
  for (const [timeoutMs, times] of [
    [3_000, [0, 500, 1_500]],
    [600_000, [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500]],
  ] as const) {
    const { platform, prober, sent } = probing();
    const answer = prober.probe(server, { timeoutMs });
    answer.catch(() => {});
    platform.advance(timeoutMs);
    await assert.rejects(answer, isCode("timeout"));
    assert.deepEqual(
      sent.map(({ atMs }) => atMs),
      times,
    );
    assert.equal(new Set(sent.map(({ bytes }) => bytes.join())).size, 1, "all the same");
    assert.equal(platform.timers, 0);
  }
});

test("StunProber says of an error response what the server says", async () => {
  const { prober, lastId } = probing();
  const answer = prober.probe(server);
  prober.handle(server, encodeStunError(lastId(), 401, "Unauthorized"));
  await assert.rejects(answer, (error) => {
    assert.match(String(error), /192\.0\.2\.1:3478: refused with 401 "Unauthorized"/);
    return isCode("refused")(error);
  });
});

test("StunProber hands everything but STUN to QUIC, and keeps STUN that it has not asked for", () => {
  const { prober } = probing();
  assert.equal(prober.handle(server, Uint8Array.of(0x40, 1, 2, 3)), false);
  assert.equal(prober.handle(server, new Uint8Array(0)), false);
  assert.equal(prober.handle(server, encodeStunSuccess(new Uint8Array(12), own)), true);
  assert.equal(prober.handle(server, encodeStunRequest(new Uint8Array(12))), true);
});

test("a hostile host cannot answer StunProber in place of the server", async () => {
  const { prober, lastId, sent } = probing();
  const answer = prober.probe(server);
  const lie = parseSocketAddress("203.0.113.66:6");
  for (const from of ["192.0.2.2:3478", "192.0.2.1:3479", "[2001:db8::1]:3478"]) {
    assert.ok(prober.handle(parseSocketAddress(from), encodeStunSuccess(lastId(), lie)));
  }
  const wrongId = lastId().map((byte, index) => (index === 11 ? byte ^ 1 : byte));
  prober.handle(server, encodeStunSuccess(wrongId, lie));
  prober.handle(server, encodeStunRequest(lastId()));
  prober.handle(server, encodeStunSuccess(lastId(), lie).subarray(0, 30));
  prober.handle(server, encodeStunSuccess(lastId(), lie).fill(0xff, 20, 30));
  for (let flood = 0; flood < 10_000; flood += 1) {
    prober.handle(server, encodeStunSuccess(wrongId, lie));
  }
  await settled();
  prober.handle(server, encodeStunSuccess(lastId(), own));
  assert.deepEqual((await answer).address, own);
  assert.equal(sent.length, 1, "nobody was answered");
});

test("a hostile server cannot make StunProber believe in an address where nobody can be", async () => {
  for (const address of [
    "127.0.0.1:9",
    "0.0.0.0:9",
    "224.0.0.251:5353",
    "255.255.255.255:9",
    "169.254.1.1:9",
    "198.51.100.1:0",
    "[::1]:9",
    "[2001:db8::1]:9",
  ]) {
    const { platform, prober, lastId } = probing();
    const answer = prober.probe(server);
    prober.handle(server, encodeStunSuccess(lastId(), parseSocketAddress(address)));
    await assert.rejects(answer, isCode("unusable-answer"), address);
    assert.equal(platform.timers, 0);
  }
});

test("StunProber gives up on an answer without an address, or that it cannot understand", async () => {
  const { prober, lastId } = probing();
  const empty = prober.probe(server);
  prober.handle(server, withoutAttributes(encodeStunSuccess(lastId(), own)));
  await assert.rejects(empty, isCode("unusable-answer"));
  const strange = prober.probe(server);
  const bytes = encodeStunSuccess(lastId(), own).subarray(0, 32);
  bytes.set([0x00, 0x0c], 2);
  bytes.set([0x00, 0x99], 20);
  prober.handle(server, bytes);
  await assert.rejects(strange, isCode("unusable-answer"));
});

function withoutAttributes(bytes: Uint8Array): Uint8Array {
  const header = bytes.slice(0, 20);
  header.fill(0, 2, 4);
  return header;
}

test("StunProber never sends where no server can be", async () => {
  const { prober, sent } = probing();
  for (const address of [
    "0.0.0.0:1",
    "255.255.255.255:1",
    "224.0.0.1:1",
    "192.0.2.1:0",
    "[ff02::1]:1",
  ]) {
    await assert.rejects(
      prober.probe(parseSocketAddress(address)),
      isCode("unusable-server"),
      address,
    );
  }
  assert.equal(sent.length, 0);
});

test("StunProber has at most 64 probes under way", async () => {
  const { platform, prober } = probing();
  const running = Array.from({ length: maxProbes }, () => prober.probe(server));
  await assert.rejects(prober.probe(server), isCode("too-many"));
  for (const one of running) {
    one.catch(() => {});
  }
  platform.advance(3_000);
  await settled();
  const again = prober.probe(server);
  prober.close();
  await assert.rejects(again, isCode("closed"));
});

test("F1: StunProber ends a probe with its signal and when it is closed, and leaves no timers", async () => {
  const { platform, prober, sent, lastId } = probing();
  const reason = new Error("enough");
  await assert.rejects(prober.probe(server, { signal: AbortSignal.abort(reason) }), reason);
  assert.equal(sent.length, 0);
  const stop = new AbortController();
  const stopped = prober.probe(server, { signal: stop.signal });
  stop.abort(reason);
  await assert.rejects(stopped, reason);
  const closed = prober.probe(server);
  prober.close();
  prober.close();
  await assert.rejects(closed, isCode("closed"));
  await assert.rejects(prober.probe(server), isCode("closed"));
  assert.equal(platform.timers, 0);
  assert.ok(prober.handle(server, encodeStunSuccess(lastId(), own)), "too late");
});

test("StunProber takes a server in IPv6 clothes for what it is", async () => {
  const { prober, sent, lastId } = probing();
  const answer = prober.probe(parseSocketAddress("[::ffff:192.0.2.1]:3478"));
  assert.deepEqual(sent[0]?.to, server);
  prober.handle(parseSocketAddress("[::ffff:192.0.2.1]:3478"), encodeStunSuccess(lastId(), own));
  assert.deepEqual((await answer).observer, server);
});

test("StunProber learns its address on networks that lose, double and reorder, or says that nobody answered", async () => {
  let learned = 0;
  await fc.assert(
    fc.asyncProperty(fc.nat(), async (seed) => {
      const link = { delayMs: 40, jitterMs: 300, loss: 0.3, duplication: 0.2 };
      const network = new VirtualNetwork({ seed, link });
      const { platform } = network;
      const socket = network.bind(own, (from, bytes) => prober.handle(from, bytes));
      const prober = new StunProber({
        platform,
        send: (to, bytes) => socket.transmit(to, bytes, bytes.length),
      });
      const answering = network.bind(server, (from, bytes) => {
        const answer = encodeStunSuccess(decodeStun(bytes).id, from);
        answering.transmit(from, answer, answer.length);
      });
      let outcome: StunAnswer | StunProbeError | undefined;
      prober.probe(server).then(
        (answer) => {
          outcome = answer;
        },
        (error) => {
          outcome = error;
        },
      );
      assert.ok(await platform.runAsync(() => outcome !== undefined, 3_000));
      if (outcome instanceof StunProbeError) {
        assert.equal(outcome.code, "timeout");
      } else {
        assert.deepEqual(outcome?.address, own);
        learned += 1;
      }
    }),
    { numRuns: 200 },
  );
  // Three requests, of which each is answered with a chance of 0.49.
  assert.ok(learned > 120, `${learned} of 200`);
});
