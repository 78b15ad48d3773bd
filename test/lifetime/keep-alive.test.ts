// How long connections live between calls, in virtual time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@connectrpc/connect";
import { createQuicTransport } from "../../src/index.ts";
import { EchoService } from "../support/echo-service.ts";
import { stayAlive } from "../support/stay-alive.ts";
import { VirtualPeers } from "../support/virtual-peers.ts";

stayAlive();

const hourMs = 3_600_000;

test("F5: a connection without calls ends after the idle timeout, and the next call dials another", async () => {
  const peers = new VirtualPeers();
  const server = await peers.serve(1);
  const endpoint = await peers.bind(2);
  const transport = createQuicTransport({ endpoint, to: server.addr() });
  const { echo } = createClient(EchoService, transport);
  await peers.during(echo({ message: "first" }));
  const first = await transport.connect();
  const lastMs = peers.platform.now();
  const cause = await peers.during(first.closed);
  assert.deepEqual(cause, { type: "timeout", handshaking: false });
  // It is kept alive for one interval more after the call, and its last sign of life counts.
  const livedMs = peers.platform.now() - lastMs;
  assert.ok(livedMs >= 30_000 && livedMs < 41_000, `${livedMs} ms`);
  await peers.pass(5_000);
  assert.equal(server.connections.size, 0);
  assert.equal(transport.state, "idle");
  assert.equal((await peers.during(echo({ message: "second" }))).message, "second");
  assert.notEqual(await transport.connect(), first);
  assert.deepEqual(peers.reports, []);
  await peers.close();
});

test("F4: with keepAlive always, a connection lives on for hours without a call, at little cost", async () => {
  const peers = new VirtualPeers();
  const server = await peers.serve(1);
  const endpoint = await peers.bind(2);
  const transport = createQuicTransport({ endpoint, to: server.addr(), keepAlive: "always" });
  const { echo } = createClient(EchoService, transport);
  await peers.during(echo({ message: "first" }));
  const connection = await transport.connect();
  const before = connection.stats();
  await peers.pass(hourMs);
  assert.equal(connection.closeCause, undefined);
  const sent = connection.stats().datagramsSent - before.datagramsSent;
  assert.ok(sent >= 700 && sent < 2_000, `${sent} datagrams in an hour`);
  assert.equal((await peers.during(echo({ message: "second" }))).message, "second");
  assert.equal(await transport.connect(), connection);
  assert.equal(server.connections.size, 1);
  await peers.close();
});

test("F4: while a call is open, its connection lives on, however long nothing is said", async () => {
  const peers = new VirtualPeers();
  const server = await peers.serve(1);
  const endpoint = await peers.bind(2);
  const transport = createQuicTransport({ endpoint, to: server.addr() });
  const { converse } = createClient(EchoService, transport);
  let send: (message: { message: string }) => void = () => {};
  const requests = (async function* () {
    yield { message: "before" };
    yield await new Promise<{ message: string }>((resolve) => {
      send = resolve;
    });
  })();
  const responses = converse(requests)[Symbol.asyncIterator]();
  assert.equal((await peers.during(responses.next())).value?.message, "before");
  await peers.pass(hourMs);
  send({ message: "after" });
  assert.equal((await peers.during(responses.next())).value?.message, "after");
  assert.equal((await peers.during(responses.next())).done, true);
  await peers.close();
});

test("F4: of transports that share a connection the least interval counts, and both sides may keep alive", async () => {
  const peers = new VirtualPeers();
  // The server has a shorter patience than the interval of the lazier transport, and pings on its own account.
  const server = await peers.serve(1, {
    transport: { idleTimeoutMs: 8_000, keepAliveIntervalMs: 1_000 },
  });
  const endpoint = await peers.bind(2);
  const lazy = createQuicTransport({
    endpoint,
    to: server.addr(),
    keepAlive: "always",
    keepAliveIntervalMs: 20_000,
  });
  const lively = createQuicTransport({
    endpoint,
    to: server.addr(),
    keepAliveIntervalMs: 500,
  });
  await peers.during(createClient(EchoService, lazy).echo({}));
  const connection = await lazy.connect();
  assert.equal(await lively.connect(), connection);
  let fromClient = 0;
  peers.network.tap = ({ from, bytes }) => {
    fromClient += from.host === "10.0.0.2" ? 1 : 0;
    return bytes;
  };
  await peers.pass(60_000);
  assert.equal(connection.closeCause, undefined);
  assert.ok(fromClient >= 110, `${fromClient} datagrams in a minute`);
  await peers.during(createClient(EchoService, lively).echo({}));
  assert.equal(await lively.connect(), connection);
  await peers.close();
});

test("F4: however often a peer shows that it is alive, nobody takes offence", async () => {
  const peers = new VirtualPeers();
  const server = await peers.serve(1);
  const endpoint = await peers.bind(2);
  const transport = createQuicTransport({
    endpoint,
    to: server.addr(),
    keepAlive: "always",
    keepAliveIntervalMs: 100,
  });
  await peers.during(createClient(EchoService, transport).echo({}));
  const connection = await transport.connect();
  const before = connection.stats();
  await peers.pass(600_000);
  const sent = connection.stats().datagramsSent - before.datagramsSent;
  assert.ok(sent > 4_000, `${sent} datagrams`);
  assert.equal(connection.closeCause, undefined);
  await peers.during(createClient(EchoService, transport).echo({}));
  assert.equal(await transport.connect(), connection);
  await peers.close();
});

for (const dead of ["vanishes", "closes"] as const) {
  test(`F1: after a peer ${dead}, whatever timer fires later does no harm`, async () => {
    const unexpected: unknown[] = [];
    const note = (error: unknown): void => {
      unexpected.push(error);
    };
    const events = ["warning", "unhandledRejection", "uncaughtException"] as const;
    for (const event of events) {
      process.on(event, note);
    }
    const peers = new VirtualPeers();
    const server = await peers.serve(1);
    const endpoint = await peers.bind(2);
    const transport = createQuicTransport({
      endpoint,
      to: server.addr(),
      keepAlive: "always",
      keepAliveIntervalMs: 1_000,
    });
    const { echo, converse } = createClient(EchoService, transport);
    await peers.during(echo({}));
    const connection = await transport.connect();
    const open = converse(
      (async function* () {
        yield { message: "open" };
        await new Promise(() => {});
      })(),
      { timeoutMs: 20 * 60_000 },
    )[Symbol.asyncIterator]();
    await peers.during(open.next());
    if (dead === "vanishes") {
      peers.network.tap = ({ from, bytes }) => (from.host === "10.0.0.1" ? undefined : bytes);
    } else {
      void server.close({ timeoutMs: 0 });
    }
    await peers.during(assert.rejects(open.next(), /unavailable/));
    await peers.during(connection.closed);
    // Keep-alive, deadlines of calls, lingering, probes: all that was set comes due.
    await peers.pass(hourMs);
    await peers.close();
    await peers.platform.runAsync(() => false, 10 * hourMs);
    for (const event of events) {
      process.off(event, note);
    }
    assert.deepEqual(unexpected, []);
    assert.deepEqual(peers.reports, []);
  });
}
