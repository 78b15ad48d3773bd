import assert from "node:assert/strict";
import { test } from "node:test";
import { AsyncQueue } from "../base/async-queue.ts";
import { parseSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import type { DatagramSocket } from "./datagram-socket.ts";
import { bindUdp } from "./udp-socket.ts";

interface Received {
  readonly from: SocketAddress;
  readonly bytes: Uint8Array;
}

async function bind(
  ...addresses: string[]
): Promise<{ socket: DatagramSocket; received: AsyncQueue<Received> }> {
  const received = new AsyncQueue<Received>();
  const socket = await bindUdp(addresses.map(parseSocketAddress), {
    datagram: (from, bytes) => received.push({ from, bytes }),
    failed: (error) => {
      throw error;
    },
  });
  socket.setRef(true);
  return { socket, received };
}

function only(socket: DatagramSocket): SocketAddress {
  const [address] = socket.localAddresses;
  assert.ok(address);
  return address;
}

test("bindUdp sends a batch as datagrams of the segment size and knows its senders", async () => {
  const a = await bind("127.0.0.1:0");
  const b = await bind("127.0.0.1:0");
  a.socket.send(only(b.socket), Uint8Array.of(1, 2, 3, 4, 5), 2);
  const all = [await b.received.next(), await b.received.next(), await b.received.next()];
  assert.deepEqual(
    all.map((one) => [...(one?.bytes ?? [])]),
    [[1, 2], [3, 4], [5]],
  );
  assert.deepEqual(all[0]?.from, only(a.socket));
  assert.equal(all[0]?.from, all[2]?.from);
  await Promise.all([a.socket.close(), b.socket.close()]);
});

test("bindUdp does not let the caller's reuse of a buffer change what is sent", async () => {
  const a = await bind("127.0.0.1:0");
  const b = await bind("127.0.0.1:0");
  const buffer = new Uint8Array(100).fill(1);
  a.socket.send(only(b.socket), buffer, buffer.length);
  buffer.fill(2);
  assert.equal((await b.received.next())?.bytes[0], 1);
  await Promise.all([a.socket.close(), b.socket.close()]);
});

test("bindUdp rejects when an address is taken and frees what it had bound", async () => {
  const a = await bind("127.0.0.1:0");
  await assert.rejects(bind("127.0.0.1:0", `127.0.0.1:${only(a.socket).port}`), {
    code: "EADDRINUSE",
  });
  await a.socket.close();
});

test("a closed UDP socket swallows what is sent and closes again", async () => {
  const a = await bind("127.0.0.1:0");
  await a.socket.close();
  a.socket.send(parseSocketAddress("127.0.0.1:9"), Uint8Array.of(1), 1);
  a.socket.setRef(true);
  await a.socket.close();
});
