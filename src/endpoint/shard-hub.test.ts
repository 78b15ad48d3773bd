import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import { anyShard, type EngineEndpoint, noShard } from "../engine/engine.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import { parseRelayUrl } from "../identity/relay-url.ts";
import { SecretKey } from "../identity/secret-key.ts";
import type { PeerSocket } from "../net/peer-socket.ts";
import { VirtualPlatform } from "../testing/virtual-platform.ts";
import { type AttachedShard, ShardHub } from "./shard-hub.ts";
import { linkCapacity, ShardLink, type ShardRemote } from "./shard-link.ts";

const from = parseSocketAddress("192.0.2.1:4433");
const mapped = parseSocketAddress("[fd15:70a:510b:1::1]:12345");
const secretKey = SecretKey.fromBytes(new Uint8Array(32).fill(1));
const peer = secretKey.publicKey;
const url = parseRelayUrl("https://relay.example./");

/** A hub whose engine reads the owner of a datagram from its first two bytes. */
class TestHub {
  readonly platform = new VirtualPlatform(1);
  readonly sent: unknown[] = [];
  readonly messages: unknown[][] = [];
  readonly hub: ShardHub;
  heardAt: number | undefined;
  probes = 0;

  constructor() {
    const engine: Pick<EngineEndpoint, "ownerOf"> = {
      ownerOf: ([high = 0, low = 0]) => (high === 0xff ? noShard : high * 256 + low),
    };
    const send = (to: SocketAddress, bytes: Uint8Array, segmentSize: number): void =>
      void this.sent.push([to, [...bytes], segmentSize]);
    const socket = {
      localAddresses: [from],
      send,
      relayedPeer: (address: SocketAddress) => (address === mapped ? { url, peer } : undefined),
      relays: {
        send: (relay: string, to: EndpointId, bytes: Uint8Array, segmentSize: number) =>
          void this.sent.push([relay, to.toString(), [...bytes], segmentSize]),
        probe: () => {
          this.probes += 1;
        },
        heardAt: () => this.heardAt,
      },
    };
    this.hub = new ShardHub({
      secretKey,
      secret: new Uint8Array(32),
      platform: this.platform,
      engine: engine as EngineEndpoint,
      socket: socket as unknown as PeerSocket,
      place: () => ({ addresses: [], homeRelay: undefined }),
      stalled: () => {},
    });
  }

  attach(): TestShard {
    const messages: unknown[] = [];
    this.messages.push(messages);
    const attached = this.hub.attach({
      post: (message) => messages.push(message),
      setRef: () => {},
    });
    return new TestShard(this, attached, messages);
  }

  /** What is done in this turn of the event loop. */
  turn(): void {
    this.platform.runFor(0);
  }

  receive(owner: number, address = from): boolean {
    return this.hub.receive(address, Uint8Array.of(owner >> 8, owner & 0xff, 7));
  }
}

class TestShard {
  readonly got: [ShardRemote, number[]][] = [];
  readonly link: ShardLink;
  readonly attached: AttachedShard;
  readonly messages: unknown[];
  readonly #hub: TestHub;

  constructor(hub: TestHub, attached: AttachedShard, messages: unknown[]) {
    this.#hub = hub;
    this.attached = attached;
    this.messages = messages;
    const { toHub, toShard } = attached.welcome;
    this.link = new ShardLink({
      port: { post: (message) => attached.receive(message as undefined), setRef: () => {} },
      outgoing: toHub,
      incoming: toShard,
      atEnd: (flush) => hub.platform.soon(flush),
      datagrams: (remote, bytes) => this.got.push([remote, [...bytes]]),
    });
  }

  get number(): number {
    return this.attached.welcome.number;
  }

  serve(serving: boolean): this {
    this.link.post({ type: "serving", serving });
    return this;
  }

  take(): number {
    this.#hub.turn();
    this.link.receive();
    return this.got.splice(0).length;
  }
}

describe("ShardHub", () => {
  it("gives a datagram to the shard that it is for, and the rest to the engine of the hub", () => {
    const hub = new TestHub();
    const [one, other] = [hub.attach().serve(true), hub.attach().serve(false)];
    assert.deepEqual([one.number, other.number], [1, 2]);
    assert.equal(hub.receive(1), true);
    // Connections that it dials come to a shard that serves nothing.
    assert.equal(hub.receive(2), true);
    assert.equal(hub.receive(2), true);
    assert.equal(hub.receive(0), false);
    assert.equal(hub.receive(3), false);
    assert.equal(hub.receive(0xff00), false);
    assert.equal(one.take(), 1);
    assert.equal(other.take(), 2);
  });

  it("gives new connections to the shards that serve by turns, and what belongs together to one", () => {
    const hub = new TestHub();
    assert.equal(hub.receive(anyShard), false, "nobody is there");
    const shards = [hub.attach(), hub.attach(), hub.attach()];
    assert.equal(hub.receive(anyShard), false, "nobody serves");
    for (const shard of shards) {
      shard.serve(true);
    }
    shards[1]?.serve(false);
    for (let connection = 0; connection < 10; connection += 1) {
      for (let datagram = 0; datagram < 3; datagram += 1) {
        assert.equal(hub.receive(anyShard + connection), true);
      }
    }
    assert.deepEqual(
      shards.map((shard) => shard.take()),
      [15, 0, 15],
    );
  });

  it("remembers where a connection has begun for half a minute at least, and not for ever", () => {
    const hub = new TestHub();
    const shards = [hub.attach().serve(true), hub.attach().serve(true)];
    const whose = (): number => {
      hub.receive(anyShard + 0xf000);
      return shards.findIndex((shard) => shard.take() === 1);
    };
    const first = whose();
    for (let seconds = 0; seconds < 100; seconds += 10) {
      assert.ok(first >= 0, "it goes to a shard");
      assert.equal(whose(), first);
      hub.platform.runFor(10_000);
    }
    hub.platform.runFor(59_000);
    hub.receive(anyShard);
    for (const shard of shards) {
      shard.take();
    }
    hub.platform.runFor(31_000);
    const later = new Set([whose()]);
    hub.platform.runFor(120_000);
    later.add(whose());
    assert.equal(later.size, 2, "it is a new connection now, and gets its turn");
  });

  it("gives what was begun to another shard when the first serves no more", () => {
    const hub = new TestHub();
    const shards = [hub.attach().serve(true), hub.attach().serve(true)];
    hub.receive(anyShard + 5);
    const [one, other] = shards[0]?.take() === 1 ? shards : [...shards].reverse();
    one?.attached.detach();
    assert.equal(hub.receive(anyShard + 5), true);
    assert.equal(other?.take(), 1);
    // The number is free again, and whoever has it is another one.
    const successor = hub.attach();
    assert.equal(successor.number, one?.number);
    assert.equal(hub.receive(successor.number), false, "it is not bound yet");
    successor.serve(false);
    assert.equal(hub.receive(successor.number), true);
    assert.equal(successor.take(), 1);
  });

  it("passes on what shards send, and from where things come, over UDP and relays", () => {
    const hub = new TestHub();
    const shard = hub.attach().serve(true);
    const to = parseSocketAddress("[2001:db8::1]:9");
    shard.link.sendDirect(to, Uint8Array.of(1, 2, 3), 2);
    shard.link.sendRelayed(url, peer, Uint8Array.of(4, 5), 2);
    hub.turn();
    assert.deepEqual(hub.sent, [
      [to, [1, 2, 3], 2],
      [url, peer.toString(), [4, 5], 2],
    ]);
    hub.receive(shard.number, from);
    hub.receive(shard.number, mapped);
    hub.turn();
    shard.link.receive();
    const [direct, relayed] = shard.got.map(([remote]) => remote);
    assert.deepEqual(direct, { type: "ip", address: from });
    assert.ok(relayed?.type === "relay", "the second comes over a relay");
    assert.equal(relayed.url, url);
    assert.ok(relayed.peer.equals(peer), "it is from that peer");
  });

  it("loses datagrams for a shard that does not read them, and wakes it once", () => {
    const hub = new TestHub();
    const shard = hub.attach().serve(true);
    const bytes = new Uint8Array(60_000);
    bytes[1] = shard.number;
    for (let count = 0; count < 200; count += 1) {
      assert.equal(hub.hub.receive(from, bytes), true);
    }
    hub.turn();
    assert.deepEqual(shard.messages, [undefined]);
    const arrived = shard.take();
    assert.ok(arrived * bytes.length <= linkCapacity, "no more than there is room for");
    assert.ok(arrived * bytes.length > linkCapacity * 0.9, "not much less than that");
    hub.receive(shard.number);
    assert.equal(shard.take(), 1, "it goes on");
  });

  it("tells shards when a relay that one of them asks for has shown life", () => {
    const hub = new TestHub();
    const shard = hub.attach().serve(true);
    const other = hub.attach().serve(true);
    hub.platform.runFor(1_000);
    hub.heardAt = hub.platform.now() - 500;
    shard.link.post({ type: "probe-relay", url });
    shard.link.post({ type: "probe-relay", url });
    assert.equal(hub.probes, 2);
    hub.platform.runFor(250);
    assert.deepEqual(other.messages, [], "what was heard before does not count");
    hub.heardAt = hub.platform.now();
    hub.platform.runFor(50);
    assert.deepEqual(other.messages, [{ type: "relay-heard", url, agoMs: 50 }]);
    assert.deepEqual(shard.messages, other.messages);
    hub.platform.runFor(10_000);
    assert.equal(shard.messages.length, 1);
  });

  it("takes what a shard has sent before it closed, and nothing afterwards", () => {
    const hub = new TestHub();
    const shard = hub.attach().serve(true);
    const { welcome } = shard.attached;
    const quiet = new ShardLink({
      port: { post: () => {}, setRef: () => {} },
      outgoing: welcome.toHub,
      incoming: welcome.toShard,
      atEnd: (flush) => hub.platform.soon(flush),
      datagrams: () => {},
    });
    quiet.sendDirect(from, Uint8Array.of(1), 1);
    hub.turn();
    shard.attached.receive({ type: "closed" });
    assert.equal(hub.sent.length, 1);
    quiet.sendDirect(from, Uint8Array.of(2), 1);
    hub.turn();
    shard.attached.receive(undefined);
    assert.equal(hub.sent.length, 1);
    assert.equal(hub.receive(shard.number), false);
  });

  it("has room for 255 shards", () => {
    const hub = new TestHub();
    for (let count = 0; count < 255; count += 1) {
      hub.attach();
    }
    assert.throws(() => hub.attach(), RangeError);
  });
});
