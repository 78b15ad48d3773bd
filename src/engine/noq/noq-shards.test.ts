import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { notYet, TestPeer, testAlpn } from "../../../test/support/engine-pair.ts";
import { echo, RecordedConnection } from "../../../test/support/recorded-connection.ts";
import { testCredentials } from "../../../test/support/test-credentials.ts";
import { VirtualNetwork } from "../../testing/virtual-network.ts";
import {
  anyShard,
  type EngineEndpoint,
  EngineError,
  type EngineOptions,
  noShard,
} from "../engine.ts";
import { noq } from "./noq.ts";

const address = { family: 4, host: "10.0.0.1", port: 4_433 } as const;
const credentials = testCredentials(1);
const secret = new Uint8Array(32).fill(9);

/** Endpoints behind one address: each datagram goes to whom it is for, those that begin something to `first`. */
class ShardedServer {
  readonly network = new VirtualNetwork();
  readonly shards = new Map<number, EngineEndpoint>();
  readonly incoming = new Map<number, RecordedConnection[]>();
  readonly owners: number[] = [];
  readonly datagrams: Uint8Array[] = [];
  first: number;
  readonly #options: Partial<EngineOptions>;
  readonly #socket;

  constructor(numbers: readonly [number, ...number[]], options: Partial<EngineOptions> = {}) {
    this.#options = options;
    this.first = numbers[0];
    this.#socket = this.network.bind(address, (from, bytes) => {
      const any = this.shards.get(this.first);
      const owner = any?.ownerOf?.(bytes) ?? noShard;
      this.owners.push(owner);
      this.datagrams.push(bytes.slice());
      (this.shards.get(owner) ?? any)?.receive(from, bytes);
    });
    for (const number of numbers) {
      this.start(number);
    }
  }

  start(number: number): void {
    const incoming: RecordedConnection[] = [];
    this.incoming.set(number, incoming);
    this.shards.set(
      number,
      noq.createEndpoint({
        credentials,
        alpns: [testAlpn],
        platform: this.network.platform,
        transmit: this.#socket.transmit,
        shard: { number, secret },
        handler: {
          incoming: (connection) => {
            const recorded = new RecordedConnection(connection, echo);
            connection.handler = recorded;
            incoming.push(recorded);
          },
          failed: () => {},
        },
        ...this.#options,
      }),
    );
  }

  dial(client: TestPeer): RecordedConnection {
    const connection = client.endpoint.connect({
      remote: address,
      expected: { type: "raw-key", publicKey: credentials.publicKey },
      alpns: [testAlpn],
      handler: notYet,
    });
    const recorded = new RecordedConnection(connection, echo);
    connection.handler = recorded;
    return recorded;
  }

  run(done: () => boolean): void {
    assert.ok(this.network.platform.run(done), `not done: ${done}`);
  }
}

describe("noq behind an address that it shares", () => {
  it("tells of each datagram which shard it is for", () => {
    const server = new ShardedServer([3, 200]);
    const client = new TestPeer(server.network, { number: 2, alpns: [] });
    for (const number of [3, 200]) {
      server.first = number;
      server.owners.length = 0;
      const connection = server.dial(client);
      server.run(() => connection.info !== undefined);
      connection.connection.ping();
      server.network.platform.runFor(1_000);
      const begins = server.owners.filter((owner) => owner >= anyShard);
      assert.ok(begins.length > 0, "it begins somewhere");
      assert.equal(new Set(begins).size, 1, "all that begins one connection is for one shard");
      const others = server.owners.filter((owner) => owner < anyShard);
      assert.ok(others.length > 1, "it goes on");
      assert.deepEqual([...new Set(others)], [number]);
      assert.equal(server.incoming.get(number)?.length, 1);
    }
  });

  it("says nothing of shards to those who do not know the secret", () => {
    const server = new ShardedServer([1]);
    const client = new TestPeer(server.network, { number: 2, alpns: [] });
    for (let count = 0; count < 100; count += 1) {
      const connection = server.dial(client);
      server.run(() => connection.info !== undefined);
    }
    const own = server.datagrams.filter((_, at) => server.owners[at] === 1);
    const stranger = client.endpoint;
    const told = own.map((bytes) => stranger.ownerOf?.(bytes) ?? noShard);
    assert.ok(
      told.every((owner) => owner === noShard || owner >= anyShard),
      "another secret recognizes nothing",
    );
    // Where the number is mixed in: all kinds of bytes, though the number is always the same.
    const short = own.filter(([first = 0]) => (first & 0x80) === 0);
    const seen = new Set(short.map((bytes) => bytes[6]));
    assert.ok(seen.size > 50, `only ${seen.size} values for ${short.length} packets`);
  });

  it("takes up what is no QUIC, or is cut short, as nobody's", () => {
    const server = new ShardedServer([1]);
    const endpoint = server.shards.get(1);
    const initial = Uint8Array.from([0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert.ok((endpoint?.ownerOf?.(initial) ?? 0) >= anyShard, "an Initial packet is anybody's");
    for (let length = 0; length < initial.length; length += 1) {
      assert.equal(endpoint?.ownerOf?.(initial.subarray(0, length)), noShard);
    }
    const handshake = Uint8Array.from([0xe0, ...initial.subarray(1)]);
    assert.equal(endpoint?.ownerOf?.(handshake), noShard);
    assert.equal(endpoint?.ownerOf?.(new Uint8Array(9).fill(0x40)), noShard);
  });

  it("ends the connections of a shard that is gone by a stateless reset of another (RFC 9000 §10.3)", () => {
    const server = new ShardedServer([1, 2]);
    const client = new TestPeer(server.network, { number: 2, alpns: [] });
    const connection = server.dial(client);
    server.run(() => connection.info !== undefined);
    server.network.platform.runFor(1_000);
    server.shards.get(1)?.destroy();
    server.shards.delete(1);
    server.first = 2;
    connection.connection.ping();
    server.run(() => connection.cause !== undefined);
    assert.deepEqual(connection.cause, { type: "reset" });
  });

  it("believes the address validation tokens of the others (RFC 9000 §8.1)", () => {
    const server = new ShardedServer([1, 2], {
      incoming: { retryAbove: 0 },
    });
    const client = new TestPeer(server.network, { number: 2, alpns: [] });
    const connection = server.dial(client);
    server.run(() => connection.info !== undefined);
    assert.equal(server.shards.get(1)?.stats().retried, 1);
    server.network.platform.runFor(1_000);
    server.first = 2;
    const again = server.dial(client);
    server.run(() => again.info !== undefined);
    assert.equal(server.incoming.get(2)?.length, 1);
    assert.equal(server.shards.get(2)?.stats().retried, 0);
  });

  it("refuses a number or a secret that cannot be", () => {
    const create = (shard: EngineOptions["shard"] & object): unknown =>
      new ShardedServer([0], { shard });
    for (const number of [-1, 1.5, 256, Number.NaN]) {
      assert.throws(() => create({ number, secret }), isInvalid);
    }
    assert.throws(() => create({ number: 0, secret: new Uint8Array(31) }), isInvalid);
  });
});

function isInvalid(error: unknown): boolean {
  return error instanceof EngineError && error.code === "invalid-options";
}
