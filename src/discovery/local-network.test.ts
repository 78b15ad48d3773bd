import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryMulticast } from "../../test/support/memory-multicast.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { formatTransportAddr, parseTransportAddr } from "../identity/transport-addr.ts";
import { VirtualPlatform } from "../testing/virtual-platform.ts";
import type { Discovery } from "./discovery.ts";
import type { DiscoveryError } from "./discovery-error.ts";
import { localNetwork } from "./local-network.ts";
import { encodeLocalPeer, localQuery } from "./local-peer-message.ts";

class World {
  readonly platform: VirtualPlatform = new VirtualPlatform(3);
  readonly network: MemoryMulticast = new MemoryMulticast(this.platform);
  readonly reported: string[] = [];

  open(secretKey: SecretKey = SecretKey.generate()): Peer {
    const discovery = localNetwork()({
      secretKey,
      platform: this.platform,
      network: this.network.host(),
      report: (error) => this.reported.push((error as DiscoveryError).code),
    });
    return new Peer(discovery, secretKey.publicKey);
  }

  /** What `peer` finds of `id`, with the time that it took. */
  async find(
    peer: Peer,
    id: SecretKey["publicKey"],
    signal = new AbortController().signal,
  ): Promise<string[]> {
    const found: string[] = [];
    const startMs = this.platform.now();
    let outcome: { readonly error?: unknown } | undefined;
    void (async () => {
      for await (const { addr, userData = "" } of peer.discovery.resolve?.(id, { signal }) ?? []) {
        found.push(`${addr.addrs.map(formatTransportAddr)} ${userData}`);
      }
    })().then(
      () => {
        outcome = {};
      },
      (error: unknown) => {
        outcome = { error };
      },
    );
    assert.ok(await this.platform.runAsync(() => outcome !== undefined));
    this.tookMs = this.platform.now() - startMs;
    if (outcome !== undefined && "error" in outcome) {
      throw outcome.error;
    }
    return found;
  }

  tookMs = 0;

  queries(): number {
    return this.network.sent.filter((bytes) => Buffer.from(localQuery).equals(bytes)).length;
  }

  answers(): number {
    return this.network.sent.length - this.queries();
  }
}

class Peer {
  readonly discovery: Discovery;
  readonly id: SecretKey["publicKey"];

  constructor(discovery: Discovery, id: SecretKey["publicKey"]) {
    this.discovery = discovery;
    this.id = id;
  }

  publish(addrs: readonly string[], userData?: string): void {
    const addr = EndpointAddr.from({ id: this.id, addrs });
    this.discovery.publish?.({ addr, ...(userData === undefined ? {} : { userData }) });
  }
}

test("peers find each other by id alone", async () => {
  const world = new World();
  const [a, b] = [world.open(), world.open()];
  a.publish(["10.0.0.1:1", "https://relay.example/"], "a");
  b.publish(["10.0.0.2:2", "[2001:db8::2]:2"]);
  assert.deepEqual(await world.find(b, a.id), ["relay:https://relay.example/,ip:10.0.0.1:1 a"]);
  assert.deepEqual(await world.find(a, b.id), ["ip:10.0.0.2:2,ip:[2001:db8::2]:2 "]);
  assert.ok(world.tookMs < 200, `${world.tookMs} ms`);
});

test("a peer that comes while it is looked for is found when it has come", async () => {
  const world = new World();
  const [a, b] = [world.open(), world.open()];
  world.platform.setTimer(4_000, () => b.publish(["10.0.0.2:2"]));
  assert.deepEqual(await world.find(a, b.id), ["ip:10.0.0.2:2 "]);
  assert.ok(world.tookMs < 4_200, `${world.tookMs} ms`);
});

test("who is not there is given up within ten seconds", async () => {
  const world = new World();
  const [a, b] = [world.open(), world.open()];
  b.publish(["https://relay.example/"]);
  assert.deepEqual(await world.find(a, b.id), [], "without an IP address there is nothing to find");
  assert.ok(world.tookMs <= 10_000, `${world.tookMs} ms`);
  assert.equal(world.queries(), 6);
});

test("an address that changes is known at once, and what was heard is forgotten after ten seconds", async () => {
  const world = new World();
  const [a, b] = [world.open(), world.open()];
  b.publish(["10.0.0.2:2"]);
  await world.find(a, b.id);
  const queries = world.queries();
  b.publish(["10.0.0.3:3"]);
  await world.platform.runAsync(() => false, 1_000);
  assert.deepEqual(await world.find(a, b.id), ["ip:10.0.0.3:3 "]);
  assert.equal(world.queries(), queries, "not asked again");
  await b.discovery.close();
  world.platform.setTimer(10_001, () => {});
  await world.platform.runAsync(() => false, 10_001);
  assert.deepEqual(await world.find(a, b.id), []);
});

test("nothing is sent before somebody is looked for or there is something to say", async () => {
  const world = new World();
  const a = world.open();
  assert.equal(world.network.members, 0);
  a.publish([]);
  await world.platform.runAsync(() => false, 60_000);
  assert.equal(world.network.members, 0);
});

test("many who look for peers ask no more often than one, and many who ask get no more answers", async () => {
  const world = new World();
  const [a, b] = [world.open(), world.open()];
  b.publish(["10.0.0.2:2"]);
  const missing = Array.from({ length: 50 }, () => SecretKey.generate().publicKey);
  await Promise.all(missing.map((id) => world.find(a, id)));
  assert.ok(world.queries() <= 6, `${world.queries()} queries`);
  const before = world.answers();
  for (let atMs = 0; atMs < 5_000; atMs += 5) {
    world.platform.setTimer(atMs, () => world.network.deliver(localQuery));
  }
  await world.platform.runAsync(() => false, 5_000);
  assert.ok(world.answers() - before <= 11, `${world.answers() - before} answers`);
});

test("what strangers say of thousands of peers does not pile up, nor is anything said of oneself believed", async () => {
  const world = new World();
  const [a, b] = [world.open(), world.open()];
  b.publish(["10.0.0.2:2"]);
  const stop = new AbortController();
  const finding = world.find(a, SecretKey.generate().publicKey, stop.signal);
  finding.catch(() => {});
  world.platform.setTimer(100, () => {
    for (let index = 0; index < 1_200; index += 1) {
      const id = SecretKey.generate().publicKey;
      const bytes = encodeLocalPeer(id, { addrs: [parseTransportAddr("198.51.100.1:53")] });
      world.network.deliver(bytes ?? new Uint8Array(0));
    }
    for (const noise of [0, 1, 12, 500]) {
      world.network.deliver(new Uint8Array(noise).fill(0xc0));
    }
    const own = encodeLocalPeer(a.id, { addrs: [parseTransportAddr("198.51.100.1:53")] });
    world.network.deliver(own ?? new Uint8Array(0));
    stop.abort(new Error("enough"));
  });
  await assert.rejects(finding, /enough/);
  assert.deepEqual(await world.find(a, b.id), ["ip:10.0.0.2:2 "]);
  assert.deepEqual(await world.find(a, a.id), []);
});

test("without multicast, looking fails and others are told nothing, until there is some", async () => {
  const world = new World();
  const [a, b] = [world.open(), world.open()];
  world.network.problem = new Error("no such device");
  b.publish(["10.0.0.2:2"]);
  await assert.rejects(world.find(a, b.id), { code: "unavailable" });
  await world.platform.runAsync(() => false, 1_000);
  assert.deepEqual(world.reported, ["unavailable"]);
  world.network.problem = undefined;
  await world.platform.runAsync(() => false, 31_000);
  assert.deepEqual(await world.find(a, b.id), ["ip:10.0.0.2:2 "]);
});

test("a socket that breaks is opened anew", async () => {
  const world = new World();
  const [a, b] = [world.open(), world.open()];
  b.publish(["10.0.0.2:2"]);
  await world.find(a, b.id);
  world.network.fail(new Error("network is down"));
  assert.deepEqual(world.reported, ["unavailable", "unavailable"]);
  world.platform.setTimer(31_000, () => {});
  await world.platform.runAsync(() => false, 31_000);
  assert.deepEqual(await world.find(a, b.id), ["ip:10.0.0.2:2 "]);
  assert.equal(world.network.members, 2);
});

test("closing ends lookups and leaves no socket and no timer", async () => {
  const world = new World();
  const [a, b] = [world.open(), world.open()];
  b.publish(["10.0.0.2:2"]);
  const finding = world.find(a, SecretKey.generate().publicKey);
  world.platform.setTimer(300, () => void Promise.all([a.discovery.close(), b.discovery.close()]));
  assert.deepEqual(await finding, []);
  assert.ok(world.tookMs <= 300, `${world.tookMs} ms`);
  await world.platform.runAsync(() => false);
  assert.equal(world.network.members, 0);
  b.publish(["10.0.0.3:3"]);
  await assert.rejects(world.find(a, SecretKey.generate().publicKey), { code: "unavailable" });
  assert.equal(world.network.members, 0);
});
