// Peers at a place of rendezvous, over real sockets, by HTTP and by key.

import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import {
  compressionBrotli,
  createConnectTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { EndpointAddr } from "../../src/identity/endpoint-addr.ts";
import { createQuicTransport, Endpoint, SecretKey } from "../../src/index.ts";
import type { FoundPeer } from "../../src/rendezvous/found-peer.ts";
import {
  RendezvousService,
  WatchResponseSchema,
} from "../../src/rendezvous/gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import type { RegisteringPeer } from "../../src/rendezvous/kept-registration.ts";
import type { PeerChange } from "../../src/rendezvous/peer-watch.ts";
import { signRegistration } from "../../src/rendezvous/registration.ts";
import type { Rendezvous } from "../../src/rendezvous/rendezvous.ts";
import { EchoService } from "../support/echo-service.ts";
import { hasCode } from "../support/expect-code.ts";
import { loopback } from "../support/peers.ts";
import { stayAlive } from "../support/stay-alive.ts";
import { paperPeer, startPlace, type Way, ways } from "./place.ts";

stayAlive();

const echo = EchoService.typeName;

/** Over QUIC, a peer is known by its key: it registers itself, by a connection of its own. */
async function callerWithKey(
  t: TestContext,
  way: Way,
  url: string,
  place: Endpoint,
  open: (way: Way) => Promise<Rendezvous>,
): Promise<{ rendezvous: Rendezvous; peer: RegisteringPeer; endpoint: Endpoint | undefined }> {
  if (way === "http") {
    return { rendezvous: await open("http"), peer: paperPeer(), endpoint: undefined };
  }
  const endpoint = await Endpoint.bind({ bind: loopback });
  t.after(() => endpoint.close({ timeoutMs: 0 }));
  const { Rendezvous } = await import("../../src/rendezvous/rendezvous.ts");
  const transport = createQuicTransport({ endpoint, to: place.ticket() });
  assert.ok(url, "there is a place");
  return { rendezvous: new Rendezvous({ transport }), peer: endpoint, endpoint };
}

async function all(peers: AsyncIterable<FoundPeer>): Promise<FoundPeer[]> {
  const found: FoundPeer[] = [];
  for await (const peer of peers) {
    found.push(peer);
  }
  return found;
}

function ids(peers: readonly FoundPeer[]): string[] {
  return peers.map(({ id }) => id.toString());
}

/** The next change that is no "complete". */
async function nextChange(changes: AsyncIterator<PeerChange>): Promise<PeerChange> {
  for (;;) {
    const { value, done } = await changes.next();
    assert.notEqual(done, true);
    const change = value as PeerChange;
    if (change.type !== "complete") {
      return change;
    }
  }
}

for (const way of ways) {
  test(`a peer registers, is found by what it serves, is watched, and unregisters, over ${way}`, async (t) => {
    const place = await startPlace(t);
    const { rendezvous, peer } = await callerWithKey(t, way, place.url, place.endpoint, (by) =>
      place.rendezvous(by),
    );
    const onlooker = await place.rendezvous(way);
    const changes = onlooker.watch({ service: echo });
    assert.deepEqual(await changes.next(), { done: false, value: { type: "complete" } });

    const registration = rendezvous.register(peer, {
      services: [EchoService],
      labels: { zone: "north" },
    });
    const id = peer.secretKey.publicKey;
    const came = await nextChange(changes);
    assert.ok(came.type === "put" && came.peer.id.equals(id), "it has come");
    assert.ok(came.peer.isGenuine(), "it has signed");
    assert.deepEqual(came.peer.addr.toJSON(), peer.addr().toJSON());
    await registration.ready();

    assert.deepEqual(ids(await all(onlooker.lookUp({ service: EchoService }))), [id.toString()]);
    assert.deepEqual(ids(await all(onlooker.lookUp({ labels: { zone: "north" } }))), [
      id.toString(),
    ]);
    assert.deepEqual(ids(await all(onlooker.lookUp({ ids: [id] }))), [id.toString()]);
    assert.deepEqual(await all(onlooker.lookUp({ service: "other.v1.Service" })), []);
    assert.deepEqual(await all(onlooker.lookUp({ labels: { zone: "south" } })), []);

    registration.update({ labels: { zone: "south" } });
    const changed = await nextChange(changes);
    assert.ok(changed.type === "put", "it has changed");
    assert.deepEqual(changed.peer.labels, { zone: "south" });
    registration.update({ services: [] });
    const unfit = await nextChange(changes);
    assert.ok(unfit.type === "gone" && unfit.id.equals(id), "it no longer fits");
    registration.update({ services: [echo] });
    assert.equal((await nextChange(changes)).type, "put");

    await registration.close();
    const gone = await nextChange(changes);
    assert.ok(gone.type === "gone" && gone.id.equals(id), "it has gone");
    await assert.rejects(registration.ready(), /not registered any more/);
    await changes.return();
    assert.deepEqual(place.reports, []);
  });

  test(`two who ask for a partner get each other, and one learns when the other leaves, over ${way}`, async (t) => {
    const place = await startPlace(t);
    const [a, b] = await Promise.all(
      [0, 1].map(async () => {
        const one = await callerWithKey(t, way, place.url, place.endpoint, (by) =>
          place.rendezvous(by),
        );
        const registration = one.rendezvous.register(one.peer);
        t.after(() => registration.close());
        return { ...one, registration };
      }),
    );
    assert.ok(a !== undefined && b !== undefined, "there are two");
    const [one, two] = await Promise.all([
      a.rendezvous.pair(a.registration, { pool: "chat" }),
      b.rendezvous.pair(b.registration, { pool: "chat" }),
    ]);
    assert.equal(one.id, two.id);
    assert.ok(one.partner.id.equals(b.registration.id), "a has b");
    assert.ok(two.partner.id.equals(a.registration.id), "b has a");
    assert.notEqual(one.first, two.first);
    await one.leave();
    assert.equal(await one.ended, "left by us");
    assert.equal(await two.ended, "left by the partner");
    // Who gave up is no partner.
    const waiting = new AbortController();
    const impatient = a.rendezvous.pair(a.registration, { signal: waiting.signal });
    waiting.abort(new Error("enough"));
    await assert.rejects(impatient, /enough/);
    // Whose registration ends leaves as well.
    const again = Promise.all([
      a.rendezvous.pair(a.registration),
      b.rendezvous.pair(b.registration),
    ]);
    const [, withA] = await again;
    await a.registration.close();
    assert.equal(await withA.ended, "left by the partner");
  });

  test(`who is lost without a word is gone after the grace time, long before its lease, over ${way}`, async (t) => {
    const place = await startPlace(t, { limits: { graceMs: 1, maxLeaseMs: 600_000 } });
    const client = createClient(RendezvousService, await place.transport("http"));
    const onlooker = await place.rendezvous("http");
    const changes = onlooker.watch();
    const caller = await callerWithKey(t, way, place.url, place.endpoint, (by) =>
      place.rendezvous(by),
    );
    const registration = caller.rendezvous.register(caller.peer, { leaseMs: 600_000 });
    assert.equal((await nextChange(changes)).type, "put");
    // Only a held registration is missed at once.
    await untilHeld(place.host);
    if (caller.endpoint === undefined) {
      // As a process that ends: calls are cut off and nothing is said.
      await registration.close({ timeoutMs: 0 });
    } else {
      await caller.endpoint.close({ timeoutMs: 0 });
    }
    assert.equal((await nextChange(changes)).type, "gone");
    await registration.close({ timeoutMs: 0 });
    await changes.return();
    assert.ok(client, "the place is still there");
  });
}

/** Resolves when so many registrations are held. */
async function untilHeld(
  host: { page(target: string): Promise<{ body: string } | undefined> },
  count = 1,
): Promise<void> {
  const line = new RegExp(`^rendezvous_holds ${count}$`, "m");
  while (!line.test((await host.page("/metrics"))?.body ?? "")) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

for (const when of ["while it waits for a change", "before its first read"] as const) {
  test(`a watch that is left ${when} ends at once, and so does its call`, async (t) => {
    const place = await startPlace(t);
    const rendezvous = await place.rendezvous("http");
    const changes = rendezvous.watch();
    let waiting: Promise<unknown> | undefined;
    if (when === "while it waits for a change") {
      assert.deepEqual(await changes.next(), { done: false, value: { type: "complete" } });
      waiting = changes.next();
    }
    assert.deepEqual(await changes.return(), { done: true, value: undefined });
    assert.deepEqual(await (waiting ?? changes.next()), { done: true, value: undefined });
    while (!/^rendezvous_watches 0$/m.test((await place.host.page("/metrics"))?.body ?? "")) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(place.reports, []);
  });
}

test("a watch ends with its signal's reason", async (t) => {
  const place = await startPlace(t);
  const leaving = new AbortController();
  const changes = (await place.rendezvous("http")).watch({}, { signal: leaving.signal });
  assert.deepEqual(await changes.next(), { done: false, value: { type: "complete" } });
  const waiting = changes.next();
  leaving.abort("enough");
  await assert.rejects(waiting, (reason) => reason === "enough");
  const late = (await place.rendezvous("http")).watch({}, { signal: leaving.signal });
  await assert.rejects(late.next(), (reason) => reason === "enough");
});

test("watchers are told the same whatever format, compression and protocol they speak, first and later", async (t) => {
  const place = await startPlace(t);
  const rendezvous = await place.rendezvous("http");
  // So many that the first message is compressed.
  const registrations = Array.from({ length: 12 }, () => rendezvous.register(paperPeer()));
  await Promise.all(registrations.map((each) => each.ready()));
  const http = { baseUrl: place.url, httpVersion: "1.1" as const };
  const transports = [
    createConnectTransport({ ...http }),
    createConnectTransport({ ...http, acceptCompression: [] }),
    createConnectTransport({ ...http, acceptCompression: [compressionBrotli] }),
    createConnectTransport({ ...http, useBinaryFormat: false }),
    createGrpcWebTransport({ ...http }),
    await place.transport("quic"),
  ];
  const leaving: AbortController[] = [];
  const watches = [...transports, ...transports].map((transport) => {
    const left = new AbortController();
    leaving.push(left);
    const { signal } = left;
    return createClient(RendezvousService, transport).watch({}, { signal })[Symbol.asyncIterator]();
  });
  const told = async (): Promise<unknown[]> => {
    const answers = await Promise.all(watches.map((watch) => watch.next()));
    return answers.map(({ value }) => value && toJson(WatchResponseSchema, value));
  };
  const [whole, ...others] = await told();
  assert.equal((whole as { changes: unknown[] }).changes.length, registrations.length);
  for (const other of others) {
    assert.deepEqual(other, whole);
  }
  registrations[0]?.update({ labels: { said: "later" } });
  const [change, ...changes] = await told();
  assert.equal((change as { changes: unknown[] }).changes.length, 1);
  for (const other of changes) {
    assert.deepEqual(other, change);
  }
  for (const left of leaving) {
    left.abort();
  }
  await Promise.all(watches.map((watch) => assert.rejects(watch.next())));
  await Promise.all(registrations.map((each) => each.close()));
});

test("where many are registered, leases are longer, but for those who ask for a short one", async (t) => {
  const place = await startPlace(t, { limits: { renewalsPerSecond: 1, leaseMs: 30_000 } });
  const client = createClient(RendezvousService, await place.transport("http"));
  const rendezvous = await place.rendezvous("http");
  const leaseOf = async (leaseMs: number): Promise<number> => {
    const { secretKey, addr } = paperPeer();
    const init = { namespace: "", audience: "", services: [], labels: {} };
    const signedUs = BigInt(Date.now()) * 1_000n;
    const { signed } = signRegistration(secretKey, { ...init, addr: addr(), signedUs });
    return (await client.register({ registration: signed, leaseMs })).leaseMs;
  };
  assert.equal(await leaseOf(0), 30_000);
  const registrations = Array.from({ length: 12 }, () => rendezvous.register(paperPeer()));
  await untilHeld(place.host, 12);
  assert.equal(await leaseOf(0), 36_000);
  assert.equal(await leaseOf(10_000), 10_000);
  await Promise.all(registrations.map((each) => each.close()));
});

test("what a peer says is changed while the old lease is held, so that no watcher sees it go", async (t) => {
  let letIn = (): void => {};
  let asked = (): void => {};
  let gate: Promise<void> | undefined;
  const place = await startPlace(t, {
    limits: { graceMs: 1 },
    authorize: async ({ operation }) => {
      if (operation === "register") {
        asked();
        await gate;
      }
      return true;
    },
  });
  const rendezvous = await place.rendezvous("http");
  const changes = rendezvous.watch();
  const registration = rendezvous.register(paperPeer(), { labels: { say: "one" } });
  assert.equal((await nextChange(changes)).type, "put");
  const other = rendezvous.register(paperPeer());
  assert.equal((await nextChange(changes)).type, "put");
  await untilHeld(place.host, 2);
  gate = new Promise((resolve) => {
    letIn = resolve;
  });
  const isAsked = new Promise<void>((resolve) => {
    asked = resolve;
  });
  registration.update({ labels: { say: "two" } });
  await isAsked;
  // When one that is lost has been missed, so would be one that was let go before.
  await other.close({ timeoutMs: 0 });
  const gone = await nextChange(changes);
  assert.ok(gone.type === "gone" && gone.id.equals(other.id), "the other one alone");
  letIn();
  const changed = await nextChange(changes);
  assert.ok(changed.type === "put" && changed.peer.labels.say === "two", "it has changed");
  await registration.close();
  await changes.return();
});

test("look up goes through all pages", async (t) => {
  const place = await startPlace(t);
  const rendezvous = await place.rendezvous("http");
  const registrations = Array.from({ length: 7 }, () => rendezvous.register(paperPeer()));
  await Promise.all(registrations.map((each) => each.ready()));
  const found = ids(await all(rendezvous.lookUp({}, { pageSize: 3 })));
  assert.deepEqual(new Set(found), new Set(registrations.map(({ id }) => id.toString())));
  assert.equal(found.length, 7);
  await Promise.all(registrations.map((each) => each.close()));
  assert.deepEqual(await all(rendezvous.lookUp()), []);
});

test("a peer can show its relay alone, and no IP address", async (t) => {
  const place = await startPlace(t);
  const rendezvous = await place.rendezvous("http");
  const secretKey = SecretKey.generate();
  const addrs = ["https://relay.example./", "192.0.2.1:4433"];
  const peer = { secretKey, addr: () => EndpointAddr.from({ id: secretKey.publicKey, addrs }) };
  for (const [shown, count] of [
    ["relay", 1],
    ["all", 2],
  ] as const) {
    const changes = rendezvous.watch();
    assert.deepEqual(await changes.next(), { done: false, value: { type: "complete" } });
    const registration = rendezvous.register(peer, { addrs: shown });
    const came = await nextChange(changes);
    assert.equal(came.type, "put");
    assert.deepEqual(
      came.type === "put" && came.peer.addr.addrs,
      peer.addr().addrs.slice(0, count),
    );
    await changes.return?.();
    await registration.close();
  }
});

test("a peer that moves is registered at its new address", async (t) => {
  const place = await startPlace(t);
  const rendezvous = await place.rendezvous("http");
  const peer = paperPeer(1);
  const changes = rendezvous.watch();
  const registration = rendezvous.register(peer);
  const portOf = async (): Promise<number | undefined> => {
    const change = await nextChange(changes);
    return change.type === "put" ? change.peer.addr.ipAddrs[0]?.port : undefined;
  };
  assert.equal(await portOf(), 1);
  await registration.ready();
  peer.move(2);
  assert.equal(await portOf(), 2);
  // Closed while a change is on its way: that brings the lease with which it unregisters.
  registration.update({ labels: { moved: "yes" } });
  await registration.close();
  assert.deepEqual(await all(rendezvous.lookUp()), []);
  await changes.return();
});

test("a second program with the same key takes the registration over, and the first gives up", async (t) => {
  const place = await startPlace(t);
  const rendezvous = await place.rendezvous("http");
  const peer = paperPeer();
  const first = rendezvous.register(peer);
  await first.ready();
  const second = rendezvous.register(peer);
  await second.ready();
  while (first.state.type !== "replaced") {
    await new Promise((resolve) => setImmediate(resolve));
  }
  await first.close();
  assert.equal((await all(rendezvous.lookUp())).length, 1);
  await second.close();
});

test("a peer whose clock is a day off registers by the clock of the place", async (t) => {
  const place = await startPlace(t);
  const { nodePlatform } = await import("../../src/base/node-platform.ts");
  for (const offMs of [-86_400_000, 86_400_000]) {
    const platform = { ...nodePlatform, unixMs: () => nodePlatform.unixMs() + offMs };
    const rendezvous = await place.rendezvous("http", { platform });
    const errors: unknown[] = [];
    const registration = rendezvous.register(paperPeer(), {
      onError: (error) => errors.push(error),
    });
    await registration.ready();
    assert.deepEqual(errors, []);
    await registration.close();
  }
});

test("an endpoint that knows an id alone finds the address at the place, and dials", async (t) => {
  const place = await startPlace(t);
  const rendezvous = await place.rendezvous("http");
  const server = await Endpoint.bind({
    bind: loopback,
    alpns: ["test/1"],
    discovery: [rendezvous.discovery({ register: { services: [EchoService] } })],
  });
  const client = await Endpoint.bind({ bind: loopback, discovery: [rendezvous.discovery()] });
  t.after(() => Promise.all([server.close({ timeoutMs: 0 }), client.close({ timeoutMs: 0 })]));
  for await (const change of rendezvous.watch({ service: EchoService })) {
    if (change.type === "put") {
      break;
    }
  }
  const connection = await client.connect(server.id, "test/1");
  assert.ok(connection.remoteId.equals(server.id), "it is the one");
  const nobody = SecretKey.generate().publicKey;
  await assert.rejects(client.connect(nobody, "test/1"), /no address|nothing|found/);
});

test("namespaces are apart, and the access rule says who may do what where", async (t) => {
  const place = await startPlace(t, {
    authorize: ({ operation, namespace, header }) =>
      namespace === "open" || (operation === "look-up" && header.has("authorization")),
  });
  const transport = await place.transport("http");
  const client = createClient(RendezvousService, transport);
  const open = await place.rendezvous("http", { namespace: "open" });
  const registration = open.register(paperPeer());
  await registration.ready();
  assert.equal((await all(open.lookUp())).length, 1);
  const closed = await place.rendezvous("http", { namespace: "closed" });
  const denied = hasCode(Code.PermissionDenied, /in namespace "closed"/);
  await assert.rejects(all(closed.lookUp()), denied);
  await assert.rejects(closed.watch().next(), denied);
  const refused = closed.register(paperPeer());
  const outsider = new Promise<void>((resolve) => {
    const look = (): void => {
      if (refused.state.type === "waiting") {
        resolve();
      } else {
        setImmediate(look);
      }
    };
    look();
  });
  await outsider;
  assert.ok(refused.state.type === "waiting", "it waits");
  assert.equal(refused.state.error.code, Code.PermissionDenied);
  await refused.close();
  const page = await client.lookUp(
    { selector: { namespace: "closed" } },
    { headers: { authorization: "Bearer x" } },
  );
  assert.deepEqual(page.peers, []);
  await registration.close();
});
