// A relay that is against its clients can lose and delay what they say to each other. It can neither read nor change it,
// speak for one of them, or have them send to others.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { decodeHex } from "../../src/base/hex.ts";
import {
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  EndpointAddr,
  peerKey,
  SecretKey,
} from "../../src/index.ts";
import { createTestNetwork, type TestNetwork } from "../../src/testing.ts";
import { EchoService } from "../support/echo-service.ts";
import { HostileRelay, type Mischief, type Relayed } from "../support/hostile-relay.ts";

/** Two peers that know each other by the relay alone, and a third with a service of the same name. */
class World {
  readonly network: TestNetwork = createTestNetwork();
  readonly relay: HostileRelay;
  /** What the handlers of the server were asked, and by whom. */
  readonly asked: { readonly by: string; readonly message: string }[] = [];
  /** The same of the third. */
  readonly overheard: string[] = [];
  readonly reports: unknown[] = [];
  readonly #endpoints: Endpoint[] = [];
  #client: Endpoint | undefined;
  #server: Endpoint | undefined;
  #third: Endpoint | undefined;

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
    assert.deepEqual(world.reports, []);
  }

  private constructor() {
    this.relay = new HostileRelay(this.network.relay());
  }

  get client(): Endpoint {
    assert.ok(this.#client);
    return this.#client;
  }

  get server(): Endpoint {
    assert.ok(this.#server);
    return this.#server;
  }

  get third(): Endpoint {
    assert.ok(this.#third);
    return this.#third;
  }

  /** A transport of its own to the server, and a call on it. */
  caller(): { call(message: string): Promise<string>; [Symbol.asyncDispose](): Promise<void> } {
    const [relay] = this.server.addr().addrs.filter(({ type }) => type === "relay");
    const transport = createQuicTransport({
      endpoint: this.client,
      to: new EndpointAddr(this.server.id, relay === undefined ? [] : [relay]),
      acceptCompression: [],
    });
    const { echo } = createClient(EchoService, transport);
    return {
      call: async (message) => (await echo({ message })).message,
      [Symbol.asyncDispose]: () => transport.close(),
    };
  }

  /** A number of calls, one after the other; those that fail are made again. All have to come back as they went. */
  async talk(calls = 20): Promise<void> {
    const before = this.asked.length;
    await using caller = this.caller();
    for (let number = 0; number < calls; number += 1) {
      const message = `call ${number} ${"x".repeat(number * 100)}`;
      assert.equal(await caller.call(message), message);
    }
    const asked = this.asked.slice(before);
    assert.deepEqual(
      asked.map(({ message }) => message.split(" ")[1]),
      Array.from({ length: calls }, (_, number) => `${number}`),
      "each is done once, and in order",
    );
    assert.ok(asked.every(({ by }) => by === this.client.id.toString()));
  }

  async #start(): Promise<void> {
    const bind = async (): Promise<Endpoint> => {
      const { options } = this.network.host({ udp: "blocked" });
      const endpoint = await Endpoint.bind({
        ...options,
        stunServers: [],
        onError: (error) => this.reports.push(error),
      });
      this.#endpoints.push(endpoint);
      return endpoint;
    };
    this.#client = await bind();
    this.#server = await bind();
    this.#third = await bind();
    createPeerRouter(this.#server).service(EchoService, {
      echo: ({ message }, { values }) => {
        this.asked.push({ by: values.get(peerKey).id.toString(), message });
        return { message };
      },
    });
    createPeerRouter(this.#third).service(EchoService, {
      echo: ({ message }) => {
        this.overheard.push(message);
        return { message: "from somebody else" };
      },
    });
    await Promise.all(this.#endpoints.map((each) => each.online()));
  }
}

/** Every nth. */
function nth(n: number): () => boolean {
  let count = 0;
  return () => ++count % n === 0;
}

/** What a relay does for as long as calls go on, and they succeed nevertheless. */
const nuisances: Readonly<Record<string, () => Mischief>> = {
  "loses every fifth datagram": () => {
    const due = nth(5);
    return ({ to, frame }, relay) => {
      if (!due()) {
        relay.deliver(to, frame);
      }
    };
  },
  "holds every datagram back for 300 ms": () => (relayed, relay) => {
    relay.later(300, () => relay.deliver(relayed.to, relayed.frame));
  },
  "delivers everything three times": () => (relayed, relay) => {
    for (const delayMs of [0, 5, 200]) {
      relay.later(delayMs, () => relay.deliver(relayed.to, relayed.frame));
    }
  },
  "delivers in another order": () => {
    let held: Relayed | undefined;
    return (relayed, relay) => {
      if (held === undefined) {
        held = relayed;
        // Unless another comes.
        relay.later(50, () => {
          if (held === relayed) {
            held = undefined;
            relay.deliver(relayed.to, relayed.frame);
          }
        });
      } else {
        relay.deliver(relayed.to, relayed.frame);
        relay.deliver(held.to, held.frame);
        held = undefined;
      }
    };
  },
  "changes a bit of every third datagram": () => {
    const due = nth(3);
    return ({ to, frame }, relay) => {
      const contents = frame.contents.slice();
      if (due()) {
        const at = Math.floor(contents.length / 2);
        contents[at] = (contents[at] ?? 0) ^ 1;
      }
      relay.deliver(to, { ...frame, contents });
    };
  },
  "cuts every fourth datagram short, and adds to every fifth": () => {
    const [cut, add] = [nth(4), nth(5)];
    return ({ to, frame }, relay) => {
      const { contents } = frame;
      const other = cut()
        ? contents.subarray(0, contents.length - 1)
        : add()
          ? Uint8Array.from([...contents, 0])
          : contents;
      relay.deliver(to, { ...frame, contents: other });
    };
  },
  "says after every datagram that the peer is gone, that it restarts, and that all is well": () => {
    return ({ to, frame }, relay) => {
      relay.deliver(to, frame);
      relay.deliver(to, { type: "endpoint-gone", peer: frame.peer });
      relay.deliver(to, { type: "restarting", reconnectInMs: 0xffff_ffff, tryForMs: 0 });
      relay.deliver(to, { type: "status", status: 1 });
      relay.deliver(to, { type: "status", status: 0 });
    };
  },
  "sends each client its own datagrams back as well, and those of others, once they are connected":
    () => {
      return ({ from, to, frame }, relay) => {
        // Who sees a first packet can refuse it in the peer's name (RFC 9000 §21.1), as it can lose it.
        const isFirst = ((frame.contents[0] ?? 0) & 0x80) !== 0;
        for (const each of isFirst ? [to] : relay.clients) {
          relay.deliver(each, frame);
        }
        if (!isFirst) {
          relay.deliver(from, { ...frame, peer: decodeHex(to) });
        }
      };
    },
};

for (const [what, mischief] of Object.entries(nuisances)) {
  test(`a relay that ${what} slows calls down: each is done once, and answered with what was said`, async () => {
    await World.run(async (world) => {
      world.relay.mischief = mischief();
      await world.talk();
      assert.deepEqual(world.overheard, []);
    });
  });
}

test("a relay that hangs up every two seconds ends no call", async () => {
  await World.run(async (world) => {
    let isOver = false;
    const again = (): void => {
      if (!isOver) {
        world.relay.hangUp();
        world.relay.later(2_000, again);
      }
    };
    again();
    await world.talk(60);
    isOver = true;
  });
});

test("a relay that hands all that is for one peer to another cannot have it answer: no call reaches it", async () => {
  await World.run(async (world) => {
    const [server, third] = [world.server.id.toString(), world.third.id.toString()];
    const bytesOf = (id: string): Uint8Array => decodeHex(id);
    world.relay.mischief = ({ from, to, frame }, relay) => {
      if (to === server) {
        relay.deliver(third, frame);
      } else {
        relay.deliver(to, from === third ? { ...frame, peer: bytesOf(server) } : frame);
      }
    };
    await using caller = world.caller();
    await assert.rejects(caller.call("secret"), (error) => {
      assert.ok(error instanceof ConnectError);
      assert.ok([Code.Unauthenticated, Code.Unavailable].includes(error.code), String(error));
      return true;
    });
    assert.deepEqual([world.overheard, world.asked], [[], []]);
    world.relay.mischief = undefined;
    await world.talk();
  });
});

test("a relay that gives the datagrams of one peer out as another's gets no call done in that one's name", async () => {
  await World.run(async (world) => {
    const client = world.client.id.toString();
    const stranger = SecretKey.generate().publicKey.bytes;
    await using caller = world.caller();
    assert.equal(await caller.call("before"), "before");
    for (const name of [world.third.id.bytes, stranger]) {
      world.relay.mischief = ({ from, to, frame }, relay) =>
        relay.deliver(to, from === client ? { ...frame, peer: name } : frame);
      const call = caller.call("under another name").catch(() => {});
      await world.network.advance(3_000);
      world.relay.mischief = undefined;
      await call;
    }
    assert.equal(await caller.call("after"), "after");
    assert.ok(world.asked.every(({ by }) => by === client));
    assert.deepEqual(world.overheard, []);
  });
});

test("a relay that replays all it has ever heard has no call done twice", async () => {
  await World.run(async (world) => {
    await world.talk(5);
    const asked = world.asked.length;
    const recorded = [...world.relay.recorded];
    for (const { to, frame } of recorded) {
      world.relay.deliver(to, frame);
    }
    await world.network.advance(20_000);
    for (const { to, frame } of recorded) {
      world.relay.deliver(to, frame);
      await world.network.advance(10);
    }
    await world.network.advance(60_000);
    assert.equal(world.asked.length, asked);
    assert.equal([...world.server.connections].length, 0);
    await world.talk(5);
  });
});

test("a relay that invents peers by the thousand makes its clients hold no connections, and send nothing past it", async () => {
  await World.run(async (world) => {
    world.network.tap = ({ host }) => assert.fail(`${host.name} sends UDP`);
    const server = world.server.id.toString();
    await using caller = world.caller();
    assert.equal(await caller.call("before"), "before");
    const first = world.relay.recorded.find(({ to }) => to === server);
    assert.ok(first);
    for (let number = 0; number < 1_500; number += 1) {
      const peer = SecretKey.fromBytes(
        Uint8Array.from({ length: 32 }, (_, index) => (number >>> (8 * index)) & 0xff),
      ).publicKey.bytes;
      const contents = first.frame.contents.slice();
      // Another connection id: a first packet that cannot be read.
      contents.fill(number & 0xff, 6, 14);
      world.relay.deliver(server, { ...first.frame, peer, contents });
      if (number % 100 === 0) {
        await world.network.advance(100);
      }
    }
    await world.network.advance(1_000);
    assert.equal(await caller.call("after"), "after");
    assert.equal([...world.server.connections].length, 1);
  });
});
