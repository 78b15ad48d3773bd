// Our relay client at iroh's relay.

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection } from "../../../src/endpoint/connection.ts";
import { Endpoint } from "../../../src/endpoint/endpoint.ts";
import { parseCertificates } from "../../../src/identity/certificates.ts";
import { EndpointAddr } from "../../../src/identity/endpoint-addr.ts";
import { openHeard } from "../../support/heard-messages.ts";
import { IrohRelay, noIrohRelay } from "../../support/iroh-relay.ts";
import { bindMutedUdp } from "../../support/muted-udp.ts";
import { stayAlive } from "../../support/stay-alive.ts";
import { TestAuthority } from "../../support/test-pki.ts";
import { noIroh } from "../iroh/iroh.ts";
import { IrohPeer } from "../iroh/iroh-peer.ts";
import { echo as echoAsIroh } from "./iroh-echo.ts";
import { RelayPeer } from "./relay-peer.ts";

const options = { skip: noIrohRelay, timeout: 120_000 };

stayAlive();

async function pair(relay: IrohRelay): Promise<[RelayPeer, RelayPeer]> {
  const peers: [RelayPeer, RelayPeer] = [new RelayPeer(relay.url), new RelayPeer(relay.url)];
  await Promise.all(peers.map((peer) => peer.reached("connected")));
  return peers;
}

test(
  "F25: datagrams and batches cross iroh's relay in both directions, in order",
  options,
  async () => {
    await using relay = await IrohRelay.start();
    const [a, b] = await pair(relay);
    using _a = a;
    using _b = b;
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      for (let index = 0; index < 100; index += 1) {
        from.client.send(to.id, new Uint8Array(1_200).fill(index), 1_200);
      }
      from.client.send(
        to.id,
        Uint8Array.from({ length: 10_000 }, (_, index) => index),
        1_200,
      );
      from.client.send(to.id, new Uint8Array(65_502), 65_502);
      from.client.send(to.id, new Uint8Array(66_000), 1_200);
      from.client.send(to.id, Uint8Array.of(1), 1);
      await to.until(() => to.received.length === 105);
      assert.ok(to.received.every(({ from: sender }) => sender.equals(from.id)));
      assert.deepEqual(
        to.received.map(({ bytes, segmentSize }) => [bytes.length, segmentSize, bytes[0]]),
        [
          ...Array.from({ length: 100 }, (_, index) => [1_200, 1_200, index]),
          [10_000, 1_200, 0],
          [65_502, 65_502, 0],
          [64_800, 1_200, 0],
          [1_200, 1_200, 0],
          [1, 1, 1],
        ],
      );
      assert.deepEqual(from.client.stats().dropped, 0);
    }
    assert.ok(a.client.latencyMs !== undefined && a.client.latencyMs > 0);
  },
);

test("a peer that leaves iroh's relay is said to be gone", options, async () => {
  await using relay = await IrohRelay.start();
  const [a, b] = await pair(relay);
  using _b = b;
  a.client.send(b.id, Uint8Array.of(1), 1);
  await b.until(() => b.received.length === 1);
  a.client.close();
  await b.until(() => b.gone.length === 1);
  assert.ok(b.gone[0]?.equals(a.id));
});

test(
  "iroh's relay takes the right token and says what is wrong with another",
  options,
  async () => {
    await using relay = await IrohRelay.start({ config: 'access.shared_token = ["sesame"]' });
    using right = new RelayPeer(relay.url, { authToken: "sesame" });
    await right.reached("connected");
    using wrong = new RelayPeer(relay.url, { authToken: "simsim" });
    using none = new RelayPeer(relay.url);
    for (const peer of [wrong, none]) {
      const { error, delayMs } = await peer.reached("waiting");
      assert.equal(error.code, "denied");
      assert.match(error.message, /not authorized/);
      assert.ok(delayMs >= 2_500);
    }
  },
);

test(
  "F26: iroh's relay tells of another client with the same id, and when it has left",
  options,
  async () => {
    await using relay = await IrohRelay.start();
    using first = new RelayPeer(relay.url);
    await first.reached("connected");
    {
      using second = new RelayPeer(relay.url, { secretKey: first.key });
      await second.reached("connected");
      await first.until(() => first.states.length === 2);
    }
    await first.until(() => first.states.length === 3);
    assert.deepEqual(first.states, [
      { type: "connected", health: "healthy" },
      { type: "connected", health: "same-id-elsewhere" },
      { type: "connected", health: "healthy" },
    ]);
  },
);

test(
  "F21: clients are back when iroh's relay was killed and has started again",
  options,
  async () => {
    const relay = await IrohRelay.start();
    const [a, b] = await pair(relay);
    using _a = a;
    using _b = b;
    await relay.kill();
    await Promise.all([a.reached("waiting"), b.reached("waiting")]);
    await using _next = await IrohRelay.start({ port: relay.port });
    await Promise.all([a.reached("connected"), b.reached("connected")]);
    a.client.send(b.id, Uint8Array.of(42), 1);
    await b.until(() => b.received.length === 1);
  },
);

test(
  "iroh's relay is reached by TLS, with an own authority and a dot at the end of its name",
  options,
  async () => {
    const authority = await TestAuthority.create();
    await using relay = await IrohRelay.start({ tls: await authority.server(["localhost"]) });
    const authorities = parseCertificates(authority.certPem);
    const heard = openHeard();
    using a = new RelayPeer(relay.url, { authorities, openChannel: heard.open });
    using b = new RelayPeer(relay.url.replace("localhost", "localhost."), { authorities });
    using stranger = new RelayPeer(relay.url);
    await Promise.all([a.reached("connected"), b.reached("connected")]);
    a.client.send(b.id, Uint8Array.of(42), 1);
    await b.until(() => b.received.length === 1);
    assert.equal(heard.types[0], 2, "no challenge: it was enough to prove the id with the request");
    assert.equal((await stranger.reached("waiting")).error.code, "unreachable");
  },
);

test("iroh's relay tells us over QUIC from where our packets come", options, async () => {
  const authority = await TestAuthority.create();
  await using relay = await IrohRelay.start({
    tls: await authority.server(["localhost"]),
    quic: true,
  });
  const { url, quicPort = false } = relay;
  const authorities = parseCertificates(authority.certPem);
  await using endpoint = await Endpoint.bind({
    bind: "127.0.0.1:0",
    relays: [{ url, authorities, quicPort }],
  });
  const { publicAddresses, observers } = await endpoint.netcheck();
  assert.deepEqual(publicAddresses, endpoint.boundAddresses, JSON.stringify(observers));
});

const alpn = "connect-quic-interop/bulk";

/** Answers every stream with what came. */
async function echo(endpoint: Endpoint): Promise<void> {
  const connection = await endpoint.accept();
  for (;;) {
    const stream = await connection?.acceptBi();
    if (stream === undefined) {
      return;
    }
    await stream.send.write(await stream.receive.readToEnd(10_000_000));
    void stream.send.finish().catch(() => {});
  }
}

/** Has bulk echoed until our datagrams are larger than `bytes`, at most ten times; tells how large they have become. */
async function sizeOfBulk(connection: Connection, bytes: number): Promise<number | undefined> {
  const bulk = Uint8Array.from({ length: 1_000_000 }, (_, index) => index % 251);
  const mtu = () => connection.paths().find(({ active }) => active)?.mtu;
  for (let round = 0; round < 10 && (mtu() ?? 0) <= bytes; round += 1) {
    const { send, receive } = await connection.openBi();
    const answer = receive.readToEnd(bulk.length);
    await send.write(bulk);
    await send.finish();
    assert.ok(Buffer.from(bulk).equals(await answer), "the answer is something else");
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  assert.deepEqual(
    connection.paths().map(({ remote }) => remote.type),
    ["relay"],
  );
  return mtu();
}

test("bulk between two of ours crosses iroh's relay in large datagrams", options, async () => {
  await using relay = await IrohRelay.start();
  const bind = () =>
    Endpoint.bind({
      bind: "127.0.0.1:0",
      alpns: [alpn],
      relays: [relay.url],
      network: { bindSocket: bindMutedUdp },
    });
  await using server = await bind();
  await using client = await bind();
  await server.online();
  void echo(server);
  const connection = await client.connect(server.ticket(), alpn);
  assert.equal(await sizeOfBulk(connection, 1_500), 16_000);
});

test("bulk between ours and real iroh crosses iroh's relay in datagrams that it takes", {
  ...options,
  skip: noIrohRelay || noIroh,
}, async () => {
  await using relay = await IrohRelay.start();
  await using server = await IrohPeer.bind(alpn, "127.0.0.1:0", relay.url);
  await using client = await Endpoint.bind({
    bind: "127.0.0.1:0",
    relays: [relay.url],
    network: { bindSocket: bindMutedUdp },
  });
  const peer = EndpointAddr.from({ id: server.id, addrs: [relay.url] });
  const connection = await client.connect(peer, alpn);
  void echoAsIroh(await server.accept());
  assert.equal(await sizeOfBulk(connection, 1_452), 1_472);
});
