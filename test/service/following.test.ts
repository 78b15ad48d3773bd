// The peers of a service as they come and go, and as they say how they are, in virtual time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  createQuicTransport,
  type PeerRouterOptions,
  type ServiceTransportOptions,
} from "../../src/index.ts";
import { EchoService, Outbox } from "../support/echo-service.ts";
import { errorOf, Fleet, placedAt, readyCount, statesOf, whoAnswers } from "./fleet.ts";

test("a call waits for a peer that comes, and none is sent before the first call", (t) =>
  Fleet.play(t, async (fleet) => {
    const transport = fleet.transport();
    assert.equal(transport.state, "idle");
    await fleet.pass(1_000);
    assert.deepEqual(fleet.source.watched, []);
    const answer = fleet.client(transport).echo({ message: "early" });
    await fleet.pass(5_000);
    assert.equal(transport.state, "waiting");
    assert.equal(transport.activeCalls, 1);
    const [a] = await fleet.serveAll("a");
    assert.equal((await answer).message, "a");
    assert.deepEqual(a?.ran, ["early"]);
    assert.equal(transport.state, "connected");
  }));

test("a call that finds nobody says what was seen", (t) =>
  Fleet.play(t, async (fleet) => {
    const transport = fleet.transport();
    const client = fleet.client(transport);
    fleet.source.isComplete = false;
    const started = fleet.network.now;
    const untold = await errorOf(client.echo({ message: "" }));
    assert.equal(untold.code, Code.Unavailable);
    assert.equal(fleet.network.now - started, 10_000);
    assert.match(
      untold.message,
      /no peer took a call of echo\.v1\.EchoService within 10000 ms; the play has not told any$/,
    );

    fleet.source.fail(new ConnectError("not for you", Code.PermissionDenied));
    await fleet.pass(0);
    const refused = await errorOf(client.echo({ message: "" }));
    assert.match(
      refused.message,
      /the play has not told any \(\[permission_denied\] not for you\)$/,
    );
    fleet.source.isComplete = true;
    fleet.source.fail(new Error("again"));
    const none = await errorOf(client.echo({ message: "" }));
    assert.match(none.message, /the play knows none$/);

    const [a] = await fleet.serveAll("a");
    a?.router.health.set(EchoService, false);
    fleet.source.put(placedAt("203.0.113.77:4433"));
    const seen = await errorOf(client.echo({ message: "" }));
    assert.equal(seen.code, Code.Unavailable);
    assert.match(seen.message, /the play knows 2: 1 unhealthy, 1 unreachable \(\w{10}: .+\)$/);
    assert.match(String(seen.cause), /no answer/);
    assert.deepEqual(a?.ran, []);
  }));

test("a call that waits ends with its deadline, with its signal and with the transport", (t) =>
  Fleet.play(t, async (fleet) => {
    const transport = fleet.transport();
    const client = fleet.client(transport);
    const late = await errorOf(client.echo({ message: "" }, { timeoutMs: 300 }));
    assert.equal(late.code, Code.DeadlineExceeded);
    assert.equal(fleet.network.now, 300);
    const given = new AbortController();
    const cancelled = errorOf(client.echo({ message: "" }, { signal: given.signal }));
    await fleet.pass(10);
    given.abort();
    assert.equal((await cancelled).code, Code.Canceled);
    const waiting = errorOf(client.echo({ message: "" }));
    await fleet.pass(10);
    assert.equal(fleet.source.open, 1);
    await transport.close({ timeoutMs: 0 });
    assert.equal((await waiting).code, Code.Canceled);
    await fleet.pass(0);
    assert.equal(fleet.source.open, 0);
    assert.equal((await errorOf(client.echo({ message: "" }))).code, Code.Canceled);
  }));

test("while the source is lost, what it has told holds on; then it is asked again", (t) =>
  Fleet.play(t, async (fleet) => {
    const [a, b] = await fleet.serveAll("ab");
    assert.ok(a !== undefined && b !== undefined, "there are two");
    const transport = fleet.transport({ policy: "round-robin" });
    const client = fleet.client(transport);
    await transport.connect();
    await fleet.until(() => readyCount(transport) === 2);
    fleet.source.isComplete = false;
    fleet.source.remove(a, { silent: true });
    fleet.source.fail(new Error("lost"));
    await fleet.until(() => fleet.source.watched.length === 2);
    assert.deepEqual((await whoAnswers(client, 4)).sort(), ["a", "a", "b", "b"]);
    // Only when all have been told is it known that one is gone.
    fleet.source.isComplete = true;
    fleet.source.fail(new Error("lost"));
    await fleet.until(() => fleet.source.watched.length === 3 && transport.peers.length === 1);
    assert.deepEqual(await whoAnswers(client, 2), ["b", "b"]);
  }));

test("a peer that goes takes no new calls, and those that run go on", (t) =>
  Fleet.play(t, async (fleet) => {
    const [a, b] = await fleet.serveAll("ab");
    assert.ok(a !== undefined && b !== undefined, "there are two");
    const transport = fleet.transport({ policy: { sticky: () => "always the same" } });
    const client = fleet.client(transport);
    const [name] = await whoAnswers(client, 1);
    const outbox = new Outbox();
    const answers = client.converse(outbox)[Symbol.asyncIterator]();
    outbox.send("one");
    assert.equal((await answers.next()).value?.message, "one");
    const [gone, other] = name === "a" ? [a, b] : [b, a];
    fleet.source.remove(gone);
    await fleet.until(() => transport.peers.length === 1);
    assert.deepEqual(await whoAnswers(client, 1), [other.name]);
    outbox.send("two");
    assert.equal((await answers.next()).value?.message, "two");
    outbox.finish();
    assert.equal((await answers.next()).done, true);
    // With its last call, the connection goes.
    const { id } = fleet.endpoint;
    await fleet.until(() => (gone.endpoint.remoteInfo(id)?.reachedBy ?? "none") === "none");
  }));

test("a peer that says it does not serve gets no new calls until it does", (t) =>
  Fleet.play(t, async (fleet) => {
    const servers = await fleet.serveAll("ab");
    const [a] = servers;
    assert.ok(a !== undefined, "there is one");
    const transport = fleet.transport({ policy: "round-robin" });
    const client = fleet.client(transport);
    await transport.connect();
    await fleet.until(() => readyCount(transport) === 2);
    a.router.health.set(EchoService, false);
    await fleet.until(() => readyCount(transport) === 1);
    assert.deepEqual(statesOf(transport, servers), { a: "unhealthy", b: "ready" });
    assert.deepEqual(await whoAnswers(client, 4), ["b", "b", "b", "b"]);
    a.router.health.set(EchoService, true);
    await fleet.until(() => readyCount(transport) === 2);
    assert.deepEqual((await whoAnswers(client, 4)).sort(), ["a", "a", "b", "b"]);
    // Of a service that it does not serve, a peer says that as well.
    const other = fleet.transport({ service: "other.v1.OtherService", dialTimeoutMs: 1_000 });
    const error = await errorOf(fleet.client(other).echo({ message: "" }));
    assert.match(error.message, /knows 2: 2 unhealthy$/);
  }));

test("those who do not serve make room where there are others", (t) =>
  Fleet.play(t, async (fleet) => {
    const servers = await fleet.serveAll("abcdef");
    for (const { router } of servers.slice(0, 5)) {
      router.health.set(EchoService, false);
    }
    const transport = fleet.transport({ policy: "round-robin", maxConnections: 2 });
    assert.deepEqual(await whoAnswers(fleet.client(transport), 2), ["f", "f"]);
  }));

for (const [how, router] of [
  ["serves no health service", { health: false }],
  [
    "tells its health to nobody",
    { authorize: (_, method) => method.parent.typeName === EchoService.typeName },
  ],
] satisfies [string, PeerRouterOptions][]) {
  test(`a peer that ${how} counts as healthy`, (t) =>
    Fleet.play(t, async (fleet) => {
      await fleet.serveAll("a", { router });
      assert.deepEqual(await whoAnswers(fleet.client(fleet.transport()), 1), ["a"]);
    }));
}

test("a peer that never tells its health is left for others, and is no peer of calls", (t) =>
  Fleet.play(t, async (fleet) => {
    const mute = await fleet.serve("mute", {
      router: {
        interceptors: [
          (next) => async (request) => {
            if (request.service.typeName === "grpc.health.v1.Health") {
              await new Promise(() => {});
            }
            return await next(request);
          },
        ],
      },
    });
    fleet.source.put(mute);
    const transport = fleet.transport({ maxConnections: 1 });
    const error = await errorOf(fleet.client(transport).echo({ message: "" }));
    assert.match(error.message, /has not told its health within 5000 ms/);
    await fleet.serveAll("a");
    assert.deepEqual(await whoAnswers(fleet.client(transport), 1), ["a"]);
    assert.deepEqual(mute.ran, []);
  }));

test("a peer that is there again is called again, at another address, too", (t) =>
  Fleet.play(t, async (fleet) => {
    const [a] = await fleet.serveAll("a");
    assert.ok(a !== undefined, "there is one");
    fleet.source.put(placedAt("203.0.113.77:4433", a.endpoint.id));
    const transport = fleet.transport();
    const client = fleet.client(transport);
    const error = await errorOf(client.echo({ message: "" }));
    assert.match(error.message, /1 unreachable/);
    fleet.source.put(a);
    assert.deepEqual(await whoAnswers(client, 1), ["a"]);
    // It is cut off until both sides have given the connection up, and comes back by itself.
    fleet.network.cut(fleet.caller, a.host);
    await fleet.until(() => readyCount(transport) === 0);
    fleet.network.heal(fleet.caller, a.host);
    await fleet.until(() => readyCount(transport) === 1);
    assert.deepEqual(await whoAnswers(client, 1), ["a"]);
  }));

test("of more peers than are remembered, and of oneself, nothing is kept", (t) =>
  Fleet.play(t, async (fleet) => {
    await fleet.serveAll("abcd");
    fleet.source.put(fleet);
    const transport = fleet.transport({ maxPeers: 3 });
    await transport.connect();
    await fleet.until(() => readyCount(transport) === 3);
    assert.equal(transport.peers.length, 3);
    const all = fleet.transport();
    await all.connect();
    await fleet.until(() => readyCount(all) === 4);
    assert.equal(all.peers.length, 4);
  }));

test("closing ends connections, watches and health streams, and the end of the endpoint all of it", (t) =>
  Fleet.play(t, async (fleet) => {
    const servers = await fleet.serveAll("ab");
    const transport = fleet.transport();
    const client = fleet.client(transport);
    await transport.connect();
    await fleet.until(() => readyCount(transport) === 2);
    const outbox = new Outbox();
    const answers = client.converse(outbox)[Symbol.asyncIterator]();
    outbox.send("one");
    await answers.next();
    const closing = transport.close();
    await fleet.pass(100);
    outbox.send("two");
    assert.equal((await answers.next()).value?.message, "two", "calls that run have their time");
    outbox.finish();
    assert.equal((await answers.next()).done, true);
    await closing;
    assert.equal(transport.state, "idle");
    assert.deepEqual(transport.peers, []);
    const { id } = fleet.endpoint;
    const isConnected = (): boolean =>
      servers.some(({ endpoint }) => (endpoint.remoteInfo(id)?.reachedBy ?? "none") !== "none");
    await fleet.until(() => !isConnected());
    assert.equal(fleet.source.open, 0);

    const another = fleet.transport();
    await another.connect();
    const waiting = errorOf(
      fleet.client(fleet.transport({ service: "other.v1.Other" })).echo({ message: "" }),
    );
    await fleet.pass(100);
    await fleet.endpoint.close({ timeoutMs: 0 });
    assert.equal((await waiting).code, Code.Canceled);
    await fleet.pass(0);
    assert.equal(fleet.source.open, 0);
  }));

test("a list of targets is a source", (t) =>
  Fleet.play(t, async (fleet) => {
    const servers = await fleet.serveAll("abc");
    const via = servers.map(({ endpoint }) => endpoint.ticket());
    const transport = fleet.transport({ via, policy: "round-robin" });
    await transport.connect();
    await fleet.until(() => readyCount(transport) === 3);
    assert.deepEqual((await whoAnswers(fleet.client(transport), 3)).sort(), ["a", "b", "c"]);
  }));

test("options that cannot be are errors where they are given", (t) =>
  Fleet.play(t, async ({ endpoint, source }) => {
    const create = (options: Record<string, unknown>): unknown =>
      createQuicTransport({
        endpoint,
        service: EchoService,
        via: source,
        ...options,
      } as ServiceTransportOptions);
    for (const [options, message] of [
      [{ endpoint: {} }, /option endpoint: expected an Endpoint/],
      [{ service: "" }, /option service/],
      [{ service: undefined }, /option service/],
      [{ via: undefined }, /option via: expected a Rendezvous/],
      [{ via: {} }, /option via/],
      [{ policy: "fastest" }, /option policy: expected "nearest"/],
      [{ policy: null }, /option policy/],
      [{ policy: { sticky: "x" } }, /option policy/],
      [{ maxConnections: 0 }, /option maxConnections: expected 1 to 1000/],
      [{ maxPeers: 1.5 }, /option maxPeers/],
      [{ to: endpoint.ticket() }, /option to: not with via/],
      [{ earlyData: true }, /option earlyData: not with via/],
      [{ wire: "tonic-iroh" }, /option wire: not with via/],
    ] as const) {
      assert.throws(() => create(options), message, JSON.stringify(options));
    }
    assert.throws(() => create({ via: ["endpoint-nonsense"] }), ConnectError);
  }));
