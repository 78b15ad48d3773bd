// A place that tells wrong things of peers can keep them from being found there. It cannot have one peer taken for
// another, nor hold up what others know.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { signEndpointRecord } from "../../src/discovery/endpoint-record.ts";
import { encodePkarrPayload } from "../../src/discovery/pkarr-packet.ts";
import {
  createPeerRouter,
  createQuicTransport,
  type DiscoverySource,
  Endpoint,
  EndpointAddr,
  pkarrResolver,
  SecretKey,
  staticDiscovery,
} from "../../src/index.ts";
import { createTestNetwork, type TestHost, type TestNetwork } from "../../src/testing.ts";
import { EchoService } from "../support/echo-service.ts";

/** A peer that is looked for, somebody who would like to be taken for it, and a place that is on that one's side. */
class World {
  readonly network: TestNetwork = createTestNetwork();
  readonly secretKey: SecretKey = SecretKey.fromBytes(new Uint8Array(32).fill(1));
  readonly evilHost: TestHost = this.network.host({ name: "evil" });
  readonly evilPkarr = this.network.pkarr({ name: "evil.test" });
  /** What those who got a call were asked. */
  readonly asked: string[] = [];
  readonly overheard: string[] = [];
  /** Datagrams to the one who is not the peer. */
  sentToEvil = 0;
  readonly #endpoints: Endpoint[] = [];
  #server: Endpoint | undefined;
  #evil: Endpoint | undefined;

  static async run(work: (world: World) => Promise<void>): Promise<void> {
    const world = new World();
    await world.network.run(
      async () => {
        try {
          await world.#start();
          await work(world);
        } finally {
          await Promise.all(world.#endpoints.map((each) => each.close({ timeoutMs: 0 })));
        }
      },
      { limitMs: 600_000 },
    );
  }

  private constructor() {
    this.network.tap = ({ to, bytes }) => {
      this.sentToEvil += this.evilHost.addresses.includes(to.host) ? 1 : 0;
      return bytes;
    };
  }

  get server(): Endpoint {
    assert.ok(this.#server);
    return this.#server;
  }

  get evil(): Endpoint {
    assert.ok(this.#evil);
    return this.#evil;
  }

  /** Has the hostile place answer so. */
  answer(body: Uint8Array): void {
    this.evilPkarr.host.listen(443, { request: () => ({ status: 200, headers: {}, body }) });
  }

  /** A record that sends dialers to the wrong one, signed with `secretKey`. */
  record(secretKey: SecretKey, aheadMs = 0): Uint8Array {
    const timestampUs = BigInt(this.evilHost.options.platform.unixMs() + aheadMs) * 1_000n;
    const { addrs } = this.evil.addr();
    return encodePkarrPayload(signEndpointRecord(secretKey, { addrs }, { timestampUs, ttl: 30 }));
  }

  /** An endpoint of its own calls the peer by its id. */
  async call(discovery: DiscoverySource[]): Promise<string> {
    const endpoint = await this.#bind(this.network.host(), { discovery });
    await using transport = createQuicTransport({ endpoint, to: this.server.id });
    const { message } = await createClient(EchoService, transport).echo({ message: "secret" });
    return message;
  }

  async #bind(
    host: TestHost,
    options: { readonly discovery: DiscoverySource[]; readonly secretKey?: SecretKey },
  ): Promise<Endpoint> {
    const endpoint = await Endpoint.bind({ ...host.options, ...options });
    this.#endpoints.push(endpoint);
    return endpoint;
  }

  async #start(): Promise<void> {
    this.#server = await this.#bind(this.network.host({ link: { delayMs: 40 } }), {
      discovery: [],
      secretKey: this.secretKey,
    });
    this.#evil = await this.#bind(this.evilHost, { discovery: [] });
    for (const [endpoint, heard, answer] of [
      [this.#server, this.asked, "from the peer"],
      [this.#evil, this.overheard, "from somebody else"],
    ] as const) {
      createPeerRouter(endpoint).service(EchoService, {
        echo: ({ message }) => {
          heard.push(message);
          return { message: answer };
        },
      });
    }
  }
}

/** Answers of the place that are not believed, with what the error says of them. */
const unbelievable: Readonly<Record<string, (world: World) => readonly [Uint8Array, RegExp]>> = {
  "a record with a wrong signature": (world) => {
    const record = world.record(world.secretKey);
    record[10] = (record[10] ?? 0) ^ 1;
    return [record, /not signed by/];
  },
  "a record that somebody else has signed": (world) => [
    world.record(SecretKey.generate()),
    /not signed by/,
  ],
  "a record dated two days ahead": (world) => [
    world.record(world.secretKey, 2 * 86_400_000),
    /ahead|future/,
  ],
  "a megabyte": () => [new Uint8Array(1 << 20), /./],
  "nothing but zeros": () => [new Uint8Array(200), /not signed by/],
};

for (const [what, answer] of Object.entries(unbelievable)) {
  test(`a place that answers with ${what} has nobody dialed, and keeps nobody else's answer from being used`, async () => {
    await World.run(async (world) => {
      const [body, says] = answer(world);
      world.answer(body);
      const hostile = pkarrResolver({ relay: world.evilPkarr.url });
      await assert.rejects(world.call([hostile]), (error) => {
        assert.ok(error instanceof ConnectError && error.code === Code.Unavailable, String(error));
        assert.match(error.message, says);
        return true;
      });
      assert.equal(
        await world.call([hostile, staticDiscovery([world.server.addr()])]),
        "from the peer",
      );
      assert.deepEqual([world.sentToEvil, world.overheard], [0, []]);
    });
  });
}

test("a place that replays an old record of the peer does not replace a newer one", async () => {
  await World.run(async (world) => {
    // Where the peer was hours ago there is somebody else now.
    world.answer(world.record(world.secretKey, -6 * 3_600_000));
    const honest = world.network.pkarr({ name: "honest.test" });
    const { addrs } = world.server.addr();
    const timestampUs = BigInt(world.evilHost.options.platform.unixMs()) * 1_000n;
    const record = signEndpointRecord(world.secretKey, { addrs }, { timestampUs, ttl: 30 });
    const body = encodePkarrPayload(record);
    honest.host.listen(443, { request: () => ({ status: 200, headers: {}, body }) });
    const sources = [honest, world.evilPkarr].map(({ url }) => pkarrResolver({ relay: url }));
    assert.equal(await world.call(sources), "from the peer");
    assert.equal(await world.call(sources.reverse()), "from the peer");
    assert.deepEqual(world.overheard, []);
  });
});

/** Says of whoever is looked for that it is where `world.evil` is, which nobody has to sign. */
function misleading(world: World): DiscoverySource {
  return () => ({
    name: "hostile",
    async *resolve(id) {
      yield { addr: new EndpointAddr(id, world.evil.addr().addrs), ttlMs: 1_000, source: "" };
    },
    close: async () => {},
  });
}

test("a source that names somebody else's address cannot have that one taken for the peer: it gets no request", async () => {
  await World.run(async (world) => {
    await assert.rejects(world.call([misleading(world)]), (error) => {
      assert.ok(error instanceof ConnectError && error.code === Code.Unauthenticated);
      assert.match(error.message, /the peer there has another key/);
      return true;
    });
    assert.ok(world.sentToEvil > 0);
    assert.deepEqual([world.overheard, world.asked], [[], []]);
  });
});

for (const [when, waitMs] of [
  ["at the same time", 0],
  ["two seconds later", 2_000],
] as const) {
  test(`a source that names somebody else's address, who answers first, does not end the dial at those found ${when}`, async () => {
    await World.run(async (world) => {
      const honest: DiscoverySource = ({ platform }) => ({
        name: "honest",
        async *resolve() {
          await new Promise<void>((resolve) => platform.setTimer(waitMs, resolve));
          yield { addr: world.server.addr(), ttlMs: 1_000, source: "" };
        },
        close: async () => {},
      });
      assert.equal(await world.call([misleading(world), honest]), "from the peer");
      assert.ok(world.sentToEvil > 0);
      assert.deepEqual(world.overheard, []);
    });
  });
}

test("somebody else at an address of the peer, who serves nothing, does not end the dial at the others", async () => {
  await World.run(async (world) => {
    await world.evil.close({ timeoutMs: 0 });
    const { options } = world.evilHost;
    await using silent = await Endpoint.bind(options);
    const lie: DiscoverySource = () => ({
      name: "hostile",
      async *resolve(id) {
        yield { addr: new EndpointAddr(id, silent.addr().addrs), ttlMs: 1_000, source: "" };
      },
      close: async () => {},
    });
    const right = staticDiscovery([world.server.addr()]);
    assert.equal(await world.call([lie, right]), "from the peer");
    await assert.rejects(world.call([lie]), /the peer refuses connections/);
  });
});
