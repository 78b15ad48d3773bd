import assert from "node:assert/strict";
import { test } from "node:test";
import { nodePlatform } from "../base/node-platform.ts";
import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import { type Engine, EngineError, type EngineOptions } from "../engine/engine.ts";
import { noq } from "../engine/noq/noq.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { formatTransportAddr } from "../identity/transport-addr.ts";
import { bindUdp } from "../net/udp-socket.ts";
import { Endpoint, type EndpointOptions } from "./endpoint.ts";

const alpn = "test/1";
const loopback = "127.0.0.1:0";

async function bind(options: EndpointOptions = {}): Promise<Endpoint> {
  return await Endpoint.bind({ bind: loopback, ...options });
}

/** The port of an endpoint that is bound to one address. */
function portOf(endpoint: Endpoint): number {
  return endpoint.boundAddresses[0]?.port ?? assert.fail();
}

function at(endpoint: Endpoint, ...addrs: string[]): EndpointAddr {
  return EndpointAddr.from({ id: endpoint.id, addrs });
}

test("addresses that nothing can be sent to do not disturb those that answer", async () => {
  const errors: unknown[] = [];
  await using server = await bind({ alpns: [alpn] });
  await using client = await bind({ onError: (error) => errors.push(error) });
  const good = formatSocketAddress(server.boundAddresses[0] ?? assert.fail());
  const dialed = await client.connect(at(server, "127.0.0.1:0", "0.0.0.0:9", good), alpn);
  assert.equal(formatTransportAddr(dialed.remoteAddress), `ip:${good}`);
  assert.deepEqual(errors, []);
});

test("an address that nothing can be sent to is as good as none", async () => {
  await using server = await bind();
  await using client = await bind();
  for (const address of ["127.0.0.1:0", "0.0.0.0:9", "[::]:9"]) {
    await assert.rejects(client.connect(at(server, address), alpn), {
      name: "EndpointError",
      code: "no-address",
      message: `cannot connect to ${server.id.short}: no address of it can be dialed: ip:${address}`,
    });
  }
});

test("several addresses can be dialed without multipath", async () => {
  await using server = await bind({ alpns: [alpn] });
  await using client = await bind({ transport: { multipath: false } });
  const good = `127.0.0.1:${portOf(server)}`;
  const dialed = await client.connect(at(server, "127.0.0.2:9", good), alpn);
  assert.equal(formatTransportAddr(dialed.remoteAddress), `ip:${good}`);
});

test("an IPv4 address in IPv6 clothes is dialed as what it is", async () => {
  await using server = await bind({ alpns: [alpn] });
  await using client = await bind();
  const port = portOf(server);
  const alone = await client.connect(at(server, `[::ffff:127.0.0.1]:${port}`), alpn);
  assert.equal(formatTransportAddr(alone.remoteAddress), `ip:127.0.0.1:${port}`);
  const among = at(server, "127.0.0.2:9", `[::ffff:127.0.0.1]:${port}`);
  const chosen = await client.connect(among, alpn);
  assert.equal(formatTransportAddr(chosen.remoteAddress), `ip:127.0.0.1:${port}`);
});

test("options that cannot be are a RangeError, for the endpoint and for a dial", async () => {
  await assert.rejects(bind({ transport: { initialMtu: 5 } }), RangeError);
  await assert.rejects(bind({ incoming: { maxHandshakes: -1 } }), RangeError);
  await assert.rejects(bind({ alpns: [""] }), RangeError);
  await using client = await bind();
  const target = client.ticket();
  for (const timeoutMs of [Number.NaN, 0, -1]) {
    await assert.rejects(client.connect(target, alpn, { timeoutMs }), {
      name: "RangeError",
      message: /invalid timeoutMs/,
    });
  }
  await assert.rejects(client.connect(target, []), RangeError);
  await assert.rejects(client.connect(target, "x".repeat(256)), RangeError);
  await assert.rejects(client.connect(target, alpn, { transport: { maxMtu: -1 } }), RangeError);
});

test("a dial that the engine refuses leaves nothing of its addresses behind", async () => {
  const sent: SocketAddress[] = [];
  let options: EngineOptions | undefined;
  let remote: SocketAddress | undefined;
  const engine: Engine = {
    name: "refusing",
    createEndpoint: (given) => {
      options = given;
      const endpoint = noq.createEndpoint(given);
      endpoint.connect = (dial) => {
        remote = dial.remote;
        throw new EngineError("invalid-options", "no");
      };
      return endpoint;
    },
  };
  await using client = await bind({
    engine,
    network: {
      bindSocket: async (addresses, handler) => {
        const socket = await bindUdp(addresses, handler);
        socket.send = (to) => sent.push(to);
        return socket;
      },
    },
  });
  const dial = client.connect(at(client, "127.0.0.1:9", "127.0.0.2:9"), alpn);
  await assert.rejects(dial, RangeError);
  options?.transmit(remote ?? assert.fail(), new Uint8Array(1), 1);
  assert.deepEqual(sent, []);
});

test("datagrams from port 0 are answered by nobody and reported to nobody", async () => {
  const errors: unknown[] = [];
  let receive = (_from: SocketAddress, _bytes: Uint8Array): void => {};
  const transmitted: number[] = [];
  await using server = await bind({
    alpns: [alpn],
    onError: (error) => errors.push(error),
    network: {
      bindSocket: async (addresses, handler) => {
        receive = handler.datagram;
        const socket = await bindUdp(addresses, handler);
        const send = socket.send.bind(socket);
        socket.send = (to, bytes, segmentSize) => {
          transmitted.push(to.port);
          send(to, bytes, segmentSize);
        };
        return socket;
      },
    },
  });
  // A version that nobody speaks is answered with those that we do.
  const unknownVersion = new Uint8Array(1_200);
  unknownVersion.set([0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8]);
  receive({ family: 4, host: "127.0.0.1", port: 0 }, unknownVersion);
  await using client = await bind();
  await client.connect(server.ticket(), alpn);
  assert.ok(transmitted.length > 0);
  assert.deepEqual(errors, []);
});

test("a fresh identity comes from the platform's randomness", async () => {
  const platform = { ...nodePlatform, randomFill: (into: Uint8Array) => void into.fill(7) };
  await using one = await bind({ platform });
  await using other = await bind({ platform });
  assert.equal(one.id.toString(), other.id.toString());
});
