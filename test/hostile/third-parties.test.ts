// Whoever names addresses to an endpoint, as a peer, a source of discovery, a ticket or a server that says where it sees
// us, can name those of somebody who has nothing to do with it. What that one gets is counted, and has a limit.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { parseSocketAddress, socketAddress } from "../../src/base/socket-address.ts";
import {
  createPeerRouter,
  createQuicTransport,
  type DiscoverySource,
  Endpoint,
  EndpointAddr,
  type EndpointId,
  type EndpointOptions,
} from "../../src/index.ts";
import { decodeStun, encodeStunSuccess, isStun } from "../../src/net/stun.ts";
import { createTestNetwork, type TestHost, type TestNetwork } from "../../src/testing.ts";
import { EchoService, echoImplementation } from "../support/echo-service.ts";

/** IPv4 and UDP. */
const headers = 28;
/** What NAT traversal may send to one host: crates/quic-core/src/strangers.rs. */
const punchBurst = 32_768;
const punchPerSecond = 8_192;

class World {
  readonly network: TestNetwork = createTestNetwork();
  readonly victim: TestHost = this.network.host({ name: "victim", udp: "blocked" });
  readonly #sent = new Map<TestHost, number>();
  readonly #endpoints: Endpoint[] = [];

  static async run(work: (world: World) => Promise<void>): Promise<void> {
    const world = new World();
    await world.network.run(async () => {
      try {
        await work(world);
      } finally {
        await Promise.all(world.#endpoints.map((each) => each.close({ timeoutMs: 0 })));
      }
    });
  }

  private constructor() {
    this.network.tap = ({ host, to, bytes }) => {
      if (this.victim.addresses.includes(to.host)) {
        this.#sent.set(host, this.sentBy(host) + bytes.length + headers);
      }
      return bytes;
    };
  }

  /** Bytes to the victim. */
  sentBy(host: TestHost): number {
    return this.#sent.get(host) ?? 0;
  }

  victimAddresses(count: number): string[] {
    return Array.from({ length: count }, (_, index) => `${this.victim.addresses[0]}:${1 + index}`);
  }

  async bind(host: TestHost, options: EndpointOptions = {}): Promise<Endpoint> {
    const endpoint = await Endpoint.bind({ ...host.options, ...options });
    this.#endpoints.push(endpoint);
    createPeerRouter(endpoint).service(EchoService, echoImplementation);
    await endpoint.online();
    return endpoint;
  }

  /** A call every second. */
  async talk(from: Endpoint, to: EndpointAddr | EndpointId, seconds: number): Promise<void> {
    await using transport = createQuicTransport({ endpoint: from, to, acceptCompression: [] });
    const { echo } = createClient(EchoService, transport);
    for (let second = 0; second < seconds; second += 1) {
      await echo({ message: `${second}` });
      await this.network.advance(1_000);
    }
  }

  async dialInVain(from: Endpoint, to: EndpointAddr | EndpointId): Promise<void> {
    await assert.rejects(from.connect(to, "nobody/1", { timeoutMs: 10_000 }));
  }
}

for (const role of ["client", "server"] as const) {
  test(`a hostile ${role} that offers 32 addresses of a third party gets 8 KiB/s of probes sent there at most`, async () => {
    await World.run(async (world) => {
      const { network } = world;
      network.relay();
      // Without a direct path it is looked for again and again.
      const honestHost = network.host({ behind: network.nat({ kind: "symmetric" }) });
      const hostileHost = network.host({ behind: network.nat({ kind: "symmetric" }) });
      const honest = await world.bind(honestHost);
      const hostile = await world.bind(hostileHost, {
        externalAddresses: world.victimAddresses(32),
      });
      const [from, to] = role === "client" ? [hostile, honest] : [honest, hostile];
      // By the relay alone, so that it is not dialed there.
      const relays = to.addr().addrs.filter(({ type }) => type === "relay");
      await world.talk(from, new EndpointAddr(to.id, relays), 60);
      const bytes = world.sentBy(honestHost);
      assert.ok(bytes > 1_000, `${bytes} bytes: nobody was punched at`);
      assert.ok(bytes <= punchBurst + 60 * punchPerSecond, `${bytes} bytes in 60 s`);
    });
  });
}

test("a hostile STUN server that says we are at a third party's gets 8 KiB/s of our peers' probes sent there at most", async () => {
  await World.run(async (world) => {
    const { network, victim } = world;
    network.relay();
    const liar = network.host({ name: "liar" });
    const [victimHost = "", liarHost = ""] = [victim.addresses[0], liar.addresses[0]];
    let lies = 0;
    const socket = liar.bindUdp([socketAddress(liarHost, 3_478)], {
      datagram: (from, bytes) => {
        const message = isStun(bytes) ? decodeStun(bytes) : undefined;
        if (message?.type === "request") {
          lies += 1;
          const lie = socketAddress(victimHost, 1 + (lies % 60_000));
          const response = encodeStunSuccess(message.id, lie);
          socket.send(from, response, response.length);
        }
      },
      failed: () => {},
    });
    const stunServers = [`${liarHost}:3478`];
    const hosts = [1, 2].map(() => network.host({ behind: network.nat({ kind: "symmetric" }) }));
    const [one, other] = await Promise.all(hosts.map((host) => world.bind(host, { stunServers })));
    assert.ok(one !== undefined && other !== undefined);
    const relays = other.addr().addrs.filter(({ type }) => type === "relay");
    await world.talk(one, new EndpointAddr(other.id, relays), 60);
    assert.ok(lies > 0);
    for (const bytes of hosts.map((host) => world.sentBy(host))) {
      assert.ok(bytes > 0, "nobody was punched at");
      assert.ok(bytes <= punchBurst + 60 * punchPerSecond, `${bytes} bytes in 60 s`);
    }
  });
});

test("a hostile source that names 10,000 addresses of a third party gets 8 of them dialed, 110 KB in 10 s", async () => {
  await World.run(async (world) => {
    const id = (await world.bind(world.network.host())).id;
    const dialerHost = world.network.host();
    const hostile: DiscoverySource = () => ({
      name: "hostile",
      async *resolve() {
        const addrs = world
          .victimAddresses(10_000)
          .map((text) => ({ type: "ip", address: parseSocketAddress(text) }) as const);
        yield { addr: new EndpointAddr(id, addrs), ttlMs: 1_000, source: "" };
      },
      close: async () => {},
    });
    const dialer = await world.bind(dialerHost, { discovery: [hostile] });
    await world.dialInVain(dialer, id);
    const bytes = world.sentBy(dialerHost);
    assert.ok(bytes > 8 * 1_200, `${bytes} bytes: it was not dialed`);
    assert.ok(bytes <= 110_000, `${bytes} bytes`);
  });
});

test("a ticket with 1,000 addresses of a third party gets 32 of them dialed, 440 KB in 10 s", async () => {
  await World.run(async (world) => {
    const id = (await world.bind(world.network.host())).id;
    const dialerHost = world.network.host();
    const dialer = await world.bind(dialerHost);
    const addrs = world
      .victimAddresses(1_000)
      .map((text) => ({ type: "ip", address: parseSocketAddress(text) }) as const);
    await world.dialInVain(dialer, new EndpointAddr(id, addrs));
    const bytes = world.sentBy(dialerHost);
    assert.ok(bytes > 32 * 1_200, `${bytes} bytes: it was not dialed`);
    assert.ok(bytes <= 440_000, `${bytes} bytes`);
  });
});
