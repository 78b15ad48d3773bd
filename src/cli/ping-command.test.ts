import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { bindMutedUdp } from "../../test/support/muted-udp.ts";
import { RecordedIo } from "../../test/support/recorded-io.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { deferred } from "../base/deferred.ts";
import { pkarrPublisher } from "../discovery/pkarr-publisher.ts";
import { Endpoint, type EndpointOptions } from "../endpoint/endpoint.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { EndpointTicket } from "../identity/endpoint-ticket.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { RelayServer } from "../relay/server/relay-server.ts";
import { createPeerRouter } from "../rpc/peer-router.ts";
import { runCommandLine } from "./command-line.ts";

stayAlive();

const onLoopback = { bind: "127.0.0.1:0" } as const;

async function startRelay(t: TestContext): Promise<RelayServer> {
  const relay = await RelayServer.start({ listen: { host: "127.0.0.1", port: 0 } });
  t.after(() => relay.close());
  return relay;
}

/** A peer that takes calls and serves no method. */
async function servePeer(t: TestContext, options: EndpointOptions = {}): Promise<Endpoint> {
  const endpoint = await Endpoint.bind({ ...onLoopback, ...options });
  t.after(() => endpoint.close({ timeoutMs: 0 }));
  createPeerRouter(endpoint);
  await endpoint.online();
  return endpoint;
}

function ping(io: RecordedIo, ...args: string[]): Promise<number> {
  return runCommandLine(["ping", "--interval", "0.01", ...args], io);
}

/** A ticket that names these addresses and no others. */
function ticketAt(peer: Endpoint, addrs: readonly string[]): string {
  return new EndpointTicket(EndpointAddr.from({ id: peer.id, addrs })).toString();
}

/** Where there is a peer's id, but nobody who has it. */
async function deadTicket(): Promise<string> {
  const endpoint = await Endpoint.bind(onLoopback);
  const ticket = endpoint.ticket();
  await endpoint.close();
  return ticket;
}

/** A pkarr relay that believes everybody. `stored` resolves with the first record. */
async function startPkarr(t: TestContext): Promise<{ url: string; stored: Promise<void> }> {
  const records = new Map<string, Buffer>();
  const stored = deferred<void>();
  const server = createServer(async (request, response) => {
    const path = request.url ?? "";
    if (request.method === "PUT") {
      records.set(path, Buffer.concat(await request.toArray()));
      response.writeHead(204).end();
      stored.resolve();
    } else {
      const record = records.get(path);
      response.writeHead(record === undefined ? 404 : 200).end(record);
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    stored: stored.promise,
  };
}

test("ping prints a pong for each answer of a peer that serves nothing, then statistics", async (t) => {
  const peer = await servePeer(t);
  const io = new RecordedIo();
  assert.equal(await ping(io, peer.ticket(), "--count", "3"), 0);
  const direct = String.raw`${peer.id.short} direct 127\.0\.0\.1:${peer.boundAddresses[0]?.port} in [0-9.]+ ms`;
  const summary = /^direct: 3 answered, fastest [0-9.]+ ms, mean [0-9.]+ ms, slowest [0-9.]+ ms$/;
  const [connected = "", first = "", second = "", third = "", ...rest] = io.printed;
  assert.match(connected, new RegExp(`^connected to ${direct}$`));
  for (const line of [first, second, third]) {
    assert.match(line, new RegExp(`^pong from ${direct}$`));
  }
  assert.deepEqual(rest.slice(0, 2), ["", "3 sent, 3 answered"]);
  assert.match(rest[2] ?? "", summary);
  assert.deepEqual(io.notes, []);
});

test("a peer that lets nobody call answers all the same", async (t) => {
  const peer = await Endpoint.bind(onLoopback);
  t.after(() => peer.close({ timeoutMs: 0 }));
  createPeerRouter(peer, { authorize: () => false });
  assert.equal(await ping(new RecordedIo(), peer.ticket(), "--count", "1"), 0);
});

test("a peer behind a relay answers over it, by its ticket and by its id", async (t) => {
  const relay = await startRelay(t);
  const peer = await servePeer(t, { relays: [relay.url] });
  const targets = [
    [ticketAt(peer, [relay.url])],
    [peer.id.toString(), "--relay", relay.url.replace(/\/$/, "")],
  ];
  for (const target of targets) {
    const io = new RecordedIo({ network: { bindSocket: bindMutedUdp } });
    assert.equal(await ping(io, ...target, "--count", "2"), 0);
    const pongs = io.printed.filter((line) => line.startsWith("pong"));
    assert.equal(pongs.length, 2);
    for (const line of pongs) {
      assert.match(
        line,
        new RegExp(`^pong from ${peer.id.short} via relay ${relay.url} in .* ms$`),
      );
    }
    assert.match(io.printed.at(-1) ?? "", /^via relay: 2 answered/);
  }
});

test("a peer known by its id alone is looked for where --discovery says", async (t) => {
  const records = await startPkarr(t);
  const { url } = await startRelay(t);
  const publisher = pkarrPublisher({ relay: records.url });
  const peer = await servePeer(t, { relays: [url], discovery: [publisher] });
  await records.stored;
  const io = new RecordedIo();
  const discovery = `pkarr=${records.url}`;
  const target = [peer.id.toString(), "--discovery", discovery];
  assert.equal(await ping(io, ...target, "--count", "1"), 0);

  const nobody = new RecordedIo();
  const stranger = SecretKey.generate().publicKey;
  assert.equal(await ping(nobody, stranger.toString(), "--discovery", discovery), 1);
  assert.deepEqual(nobody.notes, [
    `connect-quic ping: cannot connect to ${stranger.short}: nothing was found of it: pkarr ${records.url}: nothing`,
  ]);
});

test("--until-direct ends with the first answer that came without the relay, and says when the path changed", async (t) => {
  const relay = await startRelay(t);
  const peer = await servePeer(t, { relays: [relay.url] });
  const io = new RecordedIo();
  const args = ["--until-direct", "--count", "5000", "--json"];
  assert.equal(await ping(io, ticketAt(peer, [relay.url]), ...args), 0);
  const events = io.printed.map((line) => JSON.parse(line));
  const pongs = events.filter(({ type }) => type === "pong");
  assert.deepEqual(
    pongs.map(({ path }) => path.type),
    [...pongs.slice(1).map(() => "relay"), "direct"],
  );
  const [connected] = events;
  assert.deepEqual(
    { type: connected.type, peer: connected.peer },
    { type: "connected", peer: peer.id.toString() },
  );
  const changes = events.filter(({ type }) => type === "path");
  if (connected.path.type === "relay") {
    assert.deepEqual(changes[0]?.from, { type: "relay", url: relay.url });
    assert.equal(changes.at(-1)?.to.type, "direct");
  }
  const { type, sent, answered } = events.at(-1);
  assert.deepEqual(
    { type, sent, answered },
    { type: "statistics", sent: pongs.length, answered: pongs.length },
  );
});

test("--until-direct fails where there is no direct path", async (t) => {
  const relay = await startRelay(t);
  const peer = await servePeer(t, { relays: [relay.url] });
  const io = new RecordedIo({ network: { bindSocket: bindMutedUdp } });
  assert.equal(await ping(io, peer.ticket(), "--until-direct", "--count", "2"), 1);
  assert.match(io.printed.at(-1) ?? "", /^via relay: 2 answered/);
});

test("a dial that fails is told whole: each address, the relay, and what came of it", async (t) => {
  const relay = await startRelay(t);
  const url = relay.url;
  await relay.close();
  const peer = SecretKey.generate().publicKey;
  const addr = EndpointAddr.from({ id: peer, addrs: [url, "127.0.0.1:9"] });
  const ticket = new EndpointTicket(addr).toString();
  const io = new RecordedIo();
  // Long enough for the relay to be found unreachable by a machine that has other things to do.
  assert.equal(await ping(io, ticket, "--timeout", "3"), 1);
  assert.deepEqual(io.printed, []);
  const [line = "", ...others] = io.notes;
  assert.deepEqual(others, []);
  assert.match(line, new RegExp(`^connect-quic ping: cannot connect to ${peer.short} at `));
  assert.ok(line.includes(`${url} (relay unreachable: `), line);
  assert.ok(line.includes("127.0.0.1:9"), line);
  assert.match(line, /: no answer; is it running there, and does UDP reach it\?$/);
});

test("--json has a line for a dial that failed, beside what is said on stderr", async () => {
  const io = new RecordedIo();
  assert.equal(await ping(io, await deadTicket(), "--timeout", "0.2", "--json"), 1);
  const [line = "", ...others] = io.printed;
  assert.deepEqual(others, []);
  const { type, error } = JSON.parse(line);
  assert.equal(type, "failed");
  assert.equal(io.notes.join("\n"), `connect-quic ping: ${error}`);
});

test("a peer that is gone is pinged on, and dialed again", async (t) => {
  const secretKey = SecretKey.generate();
  const peer = await servePeer(t, { secretKey });
  const io = new RecordedIo();
  const ended = ping(io, peer.ticket(), "--count", "1000", "--timeout", "0.2");
  await io.line(/^pong/);
  const bind = `127.0.0.1:${peer.boundAddresses[0]?.port}`;
  await peer.close({ timeoutMs: 0 });
  assert.match(await io.line(/^no pong from (.*)/), /cannot connect to|connection .* lost/);
  const seen = io.printed.length;
  await servePeer(t, { secretKey, bind });
  while (!io.printed.slice(seen).some((line) => line.startsWith("pong"))) {
    await io.nextLine();
  }
  io.interrupt();
  assert.equal(await ended, 0);
});

test("with --alpn it is any protocol, and what QUIC expects of a round trip", async (t) => {
  const peer = await Endpoint.bind({ ...onLoopback, alpns: ["some/1"] });
  t.after(() => peer.close({ timeoutMs: 0 }));
  const io = new RecordedIo();
  assert.equal(await ping(io, peer.ticket(), "--alpn", "some/1", "--count", "2"), 0);
  const estimates = io.printed.filter((line) =>
    /^round trip to [0-9a-f]{10} direct 127\.0\.0\.1:\d+: [0-9.]+ ms$/.test(line),
  );
  assert.equal(estimates.length, 2);

  const calls = new RecordedIo();
  assert.equal(await ping(calls, peer.ticket()), 1);
  assert.match(calls.notes.join(), /: the peer does not speak "connect-quic\/1"; it serves other/);
});

test("with --alpn, the end of the connection is the end", async (t) => {
  const peer = await Endpoint.bind({ ...onLoopback, alpns: ["some/1"] });
  t.after(() => peer.close({ timeoutMs: 0 }));
  const io = new RecordedIo();
  const ended = ping(io, peer.ticket(), "--alpn", "some/1", "--count", "100000");
  const connection = await peer.accept();
  await io.line(/^round trip/);
  await connection?.close({ code: 7n, reason: "enough", timeoutMs: 0 });
  assert.equal(await ended, 0);
  assert.match(await io.line(/^no pong/), /: closed by the peer with code 0x7 \(enough\)$/);
});

test("Ctrl-C after an answer prints the statistics, with exit code 0", async (t) => {
  const peer = await servePeer(t);
  const io = new RecordedIo();
  const ended = ping(io, peer.ticket(), "--count", "1000", "--interval", "60");
  await io.line(/^pong/);
  io.interrupt();
  assert.equal(await ended, 0);
  assert.equal(io.printed.at(-2), "1 sent, 1 answered");
});

test("Ctrl-C before any answer is exit code 130, and nothing is printed", async () => {
  const io = new RecordedIo();
  const ended = ping(io, await deadTicket());
  await io.endpointBound;
  io.interrupt();
  assert.equal(await ended, 130);
  assert.deepEqual([io.printed, io.notes], [[], []]);
});

test("who pings can be chosen with --key", async (t) => {
  const secretKey = SecretKey.generate();
  const asked: string[] = [];
  const peer = await servePeer(t, {
    authorize: ({ id }) => {
      asked.push(id.toString());
      return id.equals(secretKey.publicKey);
    },
  });
  const folder = await mkdtemp(join(tmpdir(), "connect-quic-ping-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, "peer.key");
  await secretKey.save(file);
  const io = new RecordedIo();
  assert.equal(await ping(io, peer.ticket(), "--count", "1", "--key", file), 0);
  assert.deepEqual(asked, [secretKey.publicKey.toString()]);
  const stranger = new RecordedIo();
  assert.equal(await ping(stranger, peer.ticket(), "--count", "1"), 1);
});
