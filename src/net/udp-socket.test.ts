import assert from "node:assert/strict";
import { Socket } from "node:dgram";
import { type TestContext, test } from "node:test";
import { cannotRelease } from "../../test/support/cannot-release.ts";
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
    datagram: (from, bytes) => received.push({ from, bytes: Uint8Array.from(bytes) }),
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

test("bindUdp gives the memory of datagrams back: what was received, and of a batch what was sent", {
  skip: cannotRelease,
}, async (context) => {
  const sent: Uint8Array[] = [];
  const { send } = Socket.prototype;
  const watching = function (this: Socket, ...values: unknown[]): void {
    sent.push(values[0] as Uint8Array);
    Reflect.apply(send, this, values);
  };
  context.mock.method(Socket.prototype, "send", watching as typeof send);
  const kept: Uint8Array[] = [];
  const counts = new AsyncQueue<number>();
  const there = await bindUdp([parseSocketAddress("127.0.0.1:0")], {
    datagram: (_from, bytes) => {
      counts.push(bytes.filter((byte) => byte === 7).length);
      kept.push(bytes);
    },
    failed: assert.fail,
  });
  there.setRef(true);
  const here = await bind("127.0.0.1:0");
  const batch = new Uint8Array(6_000).fill(7);
  here.socket.send(only(there), batch, 1_200);
  let arrived = 0;
  while (arrived < batch.length) {
    arrived += (await counts.next()) ?? assert.fail();
  }
  await Promise.all([here.socket.close(), there.close()]);
  assert.equal(arrived, batch.length);
  assert.equal(sent.length, 5);
  assert.deepEqual(
    [...sent, ...kept].filter(({ length }) => length > 0),
    [],
  );
  assert.equal(batch.length, 6_000);
});

/** The system's sockets, as they are bound from here on. */
function watchSockets(context: TestContext, bound = (_socket: Socket): void => {}): Socket[] {
  const sockets: Socket[] = [];
  const { bind: original } = Socket.prototype;
  const watching = function (this: Socket, ...values: Parameters<typeof original>): Socket {
    sockets.push(this);
    bound(this);
    return original.apply(this, values);
  };
  context.mock.method(Socket.prototype, "bind", watching as typeof original);
  return sockets;
}

test("a UDP socket neither sends to port 0 nor hears of datagrams from it", async (context) => {
  const sockets = watchSockets(context);
  const { socket, received } = await bind("127.0.0.1:0");
  socket.send(parseSocketAddress("127.0.0.1:0"), Uint8Array.of(1), 1);
  sockets[0]?.emit("message", Buffer.of(1), { family: "IPv4", address: "127.0.0.1", port: 0 });
  assert.equal(received.size, 0);
  sockets[0]?.emit("message", Buffer.of(1), { family: "IPv4", address: "127.0.0.1", port: 9 });
  assert.equal(received.size, 1);
  await socket.close();
});

test("an error of a UDP socket reaches the handler also while others are still to be bound", async (context) => {
  const sockets = watchSockets(context, (socket) => {
    const [first] = sockets;
    if (socket !== first) {
      first?.emit("error", new Error("the interface is gone"));
    }
  });
  const errors: Error[] = [];
  const socket = await bindUdp([parseSocketAddress("127.0.0.1:0"), parseSocketAddress("[::1]:0")], {
    datagram: () => {},
    failed: (error) => errors.push(error),
  });
  sockets[0]?.emit("error", new Error("still gone"));
  assert.equal(errors.shift()?.message, "the interface is gone");
  assert.equal(errors.pop()?.message, "still gone");
  await socket.close();
});

test("a peer with a link-local address is answered on the interface where it was heard", async (context) => {
  const sockets = watchSockets(context);
  const { socket, received } = await bind("127.0.0.1:0", "[::1]:0");
  const ipv6 = sockets.at(-1);
  if (socket.localAddresses.length === 1 || ipv6 === undefined) {
    await socket.close();
    context.skip("this machine has no IPv6");
    return;
  }
  const info = { family: "IPv6", address: "fe80::1%eth7", port: 9 };
  ipv6.emit("message", Buffer.of(1), info);
  const from = (await received.next())?.from;
  assert.deepEqual(from, { family: 6, host: "fe80::1", port: 9 });
  const send = context.mock.method(ipv6, "send", () => {});
  socket.send(from, Uint8Array.of(1), 1);
  assert.deepEqual(send.mock.calls[0]?.arguments.slice(3, 5), [9, "fe80::1%eth7"]);
  await socket.close();
});

test("a closed UDP socket swallows what is sent and closes again", async () => {
  const a = await bind("127.0.0.1:0");
  await a.socket.close();
  a.socket.send(parseSocketAddress("127.0.0.1:9"), Uint8Array.of(1), 1);
  a.socket.setRef(true);
  await a.socket.close();
});
