import assert from "node:assert/strict";
import { describe, it } from "node:test";
import koffi from "koffi";
import { AsyncQueue } from "../base/async-queue.ts";
import { parseSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import { batchedUdp, loadSystemCalls } from "./batched-udp.ts";
import type { BindSocket, DatagramSocket } from "./datagram-socket.ts";
import type { SystemCalls } from "./segmented-send.ts";
import { bindUdp } from "./udp-socket.ts";

const skip =
  (process.platform !== "linux" || !["x64", "arm64"].includes(process.arch)) &&
  "this machine has no UDP_SEGMENT";
const eagain = koffi.os.errno.EAGAIN ?? 11;
const econnrefused = koffi.os.errno.ECONNREFUSED ?? 111;
const eio = koffi.os.errno.EIO ?? 5;

/** The calls of the system, counted, and failing where a test wants that. */
async function watched(): Promise<Watched> {
  const calls = await loadSystemCalls();
  const watched: Watched = {
    ...calls,
    sent: [],
    failures: [],
    errno: () => watched.failed ?? calls.errno(),
    sendmsg: (fd, message, flags) => {
      watched.failed = watched.failures.shift();
      const outcome = watched.failed === undefined ? calls.sendmsg(fd, message, flags) : -1;
      watched.sent.push(outcome);
      return outcome;
    },
  };
  return watched;
}

interface Watched extends SystemCalls {
  /** What `sendmsg` returned. */
  readonly sent: number[];
  /** Codes with which the next calls of `sendmsg` fail; undefined for one that may do its work. */
  readonly failures: (number | undefined)[];
  failed?: number | undefined;
}

interface Side {
  readonly socket: DatagramSocket;
  readonly address: SocketAddress;
  readonly received: AsyncQueue<Uint8Array>;
}

async function open(bind: BindSocket, address = "127.0.0.1:0"): Promise<Side> {
  const received = new AsyncQueue<Uint8Array>();
  const socket = await bind([parseSocketAddress(address)], {
    datagram: (_from, bytes) => received.push(Uint8Array.from(bytes)),
    failed: (error) => {
      throw error;
    },
  });
  socket.setRef(true);
  const [bound] = socket.localAddresses;
  assert.ok(bound !== undefined, "it is bound");
  return { socket, address: bound, received };
}

function numbered(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => index % 251);
}

/** Reads as many datagrams as there are in `bytes`, whatever their order, and puts them in that of their sizes. */
async function read(side: Side, bytes: Uint8Array, segmentSize: number): Promise<number[]> {
  const sizes: number[] = [];
  const count = Math.ceil(bytes.length / segmentSize);
  const expected = new Set<string>();
  for (let start = 0; start < bytes.length; start += segmentSize) {
    expected.add(Buffer.from(bytes.subarray(start, start + segmentSize)).toString("hex"));
  }
  for (let index = 0; index < count; index += 1) {
    const datagram = await side.received.next();
    assert.ok(datagram !== undefined, "it arrives");
    assert.ok(expected.delete(Buffer.from(datagram).toString("hex")), "it is one that was sent");
    sizes.push(datagram.length);
  }
  return sizes;
}

describe("batchedUdp", { skip }, () => {
  for (const host of ["127.0.0.1:0", "[::1]:0"]) {
    it(`sends a batch from ${host} in one call`, async () => {
      const calls = await watched();
      const [a, b] = [
        await open(await batchedUdp(async () => calls), host),
        await open(bindUdp, host),
      ];
      const bytes = numbered(1_350 * 15 + 7);
      a.socket.send(b.address, bytes, 1_350);
      const sizes = await read(b, bytes, 1_350);
      assert.deepEqual(calls.sent, [bytes.length]);
      assert.deepEqual(sizes, [...new Array(15).fill(1_350), 7]);
      await Promise.all([a.socket.close(), b.socket.close()]);
    });
  }

  it("cuts what is too much for one call, by length and by number", async () => {
    const calls = await watched();
    const [a, b] = [await open(await batchedUdp(async () => calls)), await open(bindUdp)];
    const large = numbered(16_000 * 7);
    a.socket.send(b.address, large, 16_000);
    await read(b, large, 16_000);
    assert.deepEqual(calls.sent.splice(0), [64_000, 48_000]);
    const many = numbered(20 * 150);
    a.socket.send(b.address, many, 20);
    for (let count = 0; count < 150; count += 1) {
      assert.equal((await b.received.next())?.length, 20);
    }
    assert.deepEqual(calls.sent, [1_280, 1_280, 440]);
    await Promise.all([a.socket.close(), b.socket.close()]);
  });

  it("leaves single datagrams to the plain way", async () => {
    const calls = await watched();
    const [a, b] = [await open(await batchedUdp(async () => calls)), await open(bindUdp)];
    a.socket.send(b.address, numbered(1_200), 1_200);
    a.socket.send(b.address, numbered(1_200), 2_000);
    assert.equal((await b.received.next())?.length, 1_200);
    assert.equal((await b.received.next())?.length, 1_200);
    a.socket.send(b.address, numbered(60_000), 40_000);
    await read(b, numbered(60_000), 40_000);
    assert.deepEqual(calls.sent, []);
    await Promise.all([a.socket.close(), b.socket.close()]);
  });

  it("sends the plain way what the kernel does not take at once, and tries again with the next", async () => {
    const calls = await watched();
    const [a, b] = [await open(await batchedUdp(async () => calls)), await open(bindUdp)];
    const bytes = numbered(1_000 * 10);
    for (const code of [eagain, econnrefused]) {
      calls.failures.push(code);
      a.socket.send(b.address, bytes, 1_000);
      await read(b, bytes, 1_000);
      assert.deepEqual(calls.sent.splice(0), [-1]);
      a.socket.send(b.address, bytes, 1_000);
      await read(b, bytes, 1_000);
      assert.deepEqual(calls.sent.splice(0), [bytes.length]);
    }
    // The first call took its part.
    calls.failures.push(undefined, eagain);
    const parts = numbered(1_000 * 100);
    a.socket.send(b.address, parts, 1_000);
    for (let count = 0; count < 100; count += 1) {
      assert.equal((await b.received.next())?.length, 1_000);
    }
    assert.deepEqual(calls.sent, [64_000, -1]);
    await Promise.all([a.socket.close(), b.socket.close()]);
  });

  it("does without from the first time on that a device cannot", async () => {
    const calls = await watched();
    const [a, b] = [await open(await batchedUdp(async () => calls)), await open(bindUdp)];
    const bytes = numbered(1_000 * 10);
    calls.failures.push(eio);
    for (let count = 0; count < 3; count += 1) {
      a.socket.send(b.address, bytes, 1_000);
      await read(b, bytes, 1_000);
    }
    assert.deepEqual(calls.sent, [-1]);
    await Promise.all([a.socket.close(), b.socket.close()]);
  });

  it("does without where the kernel does not know how", async () => {
    const calls = { ...(await watched()), setsockopt: () => -1 };
    const [a, b] = [await open(await batchedUdp(async () => calls)), await open(bindUdp)];
    a.socket.send(b.address, numbered(3_000), 1_000);
    await read(b, numbered(3_000), 1_000);
    assert.deepEqual(calls.sent, []);
    await Promise.all([a.socket.close(), b.socket.close()]);
  });

  it("sends nothing once it is closed, though the descriptor may be another's by then", async () => {
    const calls = await watched();
    const [a, b] = [await open(await batchedUdp(async () => calls)), await open(bindUdp)];
    a.socket.send(b.address, numbered(3_000), 1_000);
    const closed = a.socket.close();
    a.socket.send(b.address, numbered(3_000), 1_000);
    await closed;
    a.socket.send(b.address, numbered(3_000), 1_000);
    await read(b, numbered(3_000), 1_000);
    assert.deepEqual(calls.sent, [3_000]);
    await b.socket.close();
  });

  it("warns of nothing", async () => {
    const warnings: Error[] = [];
    const listen = (warning: Error): void => void warnings.push(warning);
    process.on("warning", listen);
    const { socket } = await open(await batchedUdp());
    await socket.close();
    await new Promise(setImmediate);
    process.off("warning", listen);
    assert.deepEqual(warnings, []);
  });

  it("rejects with what to do where koffi is not installed", async () => {
    const missing = new Error("Cannot find package 'koffi'");
    await assert.rejects(
      batchedUdp(() => Promise.reject(missing)),
      (error: unknown) =>
        error instanceof Error &&
        /npm install koffi/.test(error.message) &&
        error.cause === missing,
    );
  });
});
