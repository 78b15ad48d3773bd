import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { createEchoClient, registerEchoService } from "../../gen/echo/v1/echo_quic.ts";
import type { SocketAddress } from "../../src/base/socket-address.ts";
import { createPeerRouter, Endpoint } from "../../src/index.ts";
import { bindUdp } from "../../src/net/udp-socket.ts";
import { echoImplementation } from "../support/echo-service.ts";

const datagrams = 5_000;
const calls = 200;

/** A socket that throws all kinds of things at an address, a few per turn of the event loop, until it is closed. */
function bombard(
  target: SocketAddress,
  next: (index: number) => Uint8Array,
): { done: Promise<void>; socket: Socket } {
  const socket = createSocket("udp4");
  const done = (async () => {
    for (let index = 0; index < datagrams; index += 20) {
      for (let more = 0; more < 20; more += 1) {
        socket.send(next(index + more), target.port, target.host);
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  })();
  return { done, socket };
}

test("UDP garbage at a live endpoint fails no call and opens no connection", async () => {
  const seen: Uint8Array[] = [];
  await using server = await Endpoint.bind({ bind: "127.0.0.1:0" });
  await using router = createPeerRouter(server);
  registerEchoService(router, echoImplementation);
  // The client's real datagrams are what the best garbage is made of.
  await using client = await Endpoint.bind({
    bind: "127.0.0.1:0",
    network: {
      bindSocket: async (addresses, handler) => {
        const socket = await bindUdp(addresses, handler);
        const send = socket.send.bind(socket);
        socket.send = (to, bytes, segmentSize) => {
          if (seen.length < 500) {
            seen.push(bytes.slice(0, segmentSize));
          }
          send(to, bytes, segmentSize);
        };
        return socket;
      },
    },
  });
  const echo = createEchoClient(client, server.ticket());
  await echo.echo({ message: "warm" });
  const [target] = server.boundAddresses;
  const [home] = client.boundAddresses;
  assert.ok(target && home);

  const random = (index: number): Uint8Array => randomBytes(index % 1_500);
  const bent = (index: number): Uint8Array => {
    const copy = Buffer.from(seen[index % seen.length] ?? []);
    const at = index % Math.max(copy.length, 1);
    copy[at] = (copy[at] ?? 0) ^ (1 << (index % 8));
    return copy;
  };
  const cut = (index: number): Uint8Array => {
    const original = seen[index % seen.length] ?? new Uint8Array();
    return original.subarray(0, index % (original.length + 1));
  };
  const attacks = [
    bombard(target, random),
    bombard(target, bent),
    bombard(target, cut),
    bombard(home, random),
  ];
  for (let index = 0; index < calls; index += 1) {
    const message = `call ${index}`;
    assert.equal((await echo.echo({ message })).message, message);
  }
  await Promise.all(attacks.map(({ done }) => done));
  assert.equal((await echo.echo({ message: "after" })).message, "after");
  assert.equal(server.connections.size, 1);
  for (const { socket } of attacks) {
    socket.close();
    await once(socket, "close");
  }
  await router.close({ graceMs: 0 });
});
