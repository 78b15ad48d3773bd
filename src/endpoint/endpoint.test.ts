import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { test } from "node:test";
import { formatSocketAddress, parseSocketAddress } from "../base/socket-address.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import type { Connection } from "./connection.ts";
import { Endpoint, type EndpointOptions } from "./endpoint.ts";
import { closeCode } from "./endpoint-error.ts";
import { Router } from "./router.ts";

const alpn = "test/1";
const loopback = "127.0.0.1:0";

/** `closed` alone keeps no process alive, and some tests wait for nothing else. */
async function bind(options: EndpointOptions = {}): Promise<Endpoint> {
  const endpoint = await Endpoint.bind({ bind: loopback, ...options });
  endpoint.hold();
  return endpoint;
}

interface Pair extends AsyncDisposable {
  readonly server: Endpoint;
  readonly client: Endpoint;
  readonly dialed: Connection;
  readonly accepted: Connection;
}

async function pair(serverOptions: EndpointOptions = {}): Promise<Pair> {
  const server = await bind({ alpns: [alpn], ...serverOptions });
  const client = await bind();
  const [dialed, accepted] = await Promise.all([
    client.connect(server.ticket(), alpn),
    server.accept(),
  ]);
  assert.ok(accepted);
  return {
    server,
    client,
    dialed,
    accepted,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([server.close(), client.close()]);
    },
  };
}

test("two endpoints connect by ticket and know each other's key, protocol and role", async () => {
  await using peers = await pair();
  const { dialed, accepted, server, client } = peers;
  assert.equal(dialed.remoteId.toString(), server.id.toString());
  assert.equal(accepted.remoteId.toString(), client.id.toString());
  assert.deepEqual([dialed.alpn, accepted.alpn], [alpn, alpn]);
  assert.deepEqual([dialed.role, accepted.role], ["client", "server"]);
  assert.deepEqual(dialed.remoteAddress, { type: "ip", address: server.boundAddresses[0] });
  assert.equal(dialed.paths().filter((path) => path.active).length, 1);
  assert.ok(dialed.stats().bytesSent > 0);
});

test("on one machine both sides send large packets, whoever has dialed", async () => {
  await using peers = await pair();
  for (const connection of [peers.dialed, peers.accepted]) {
    assert.deepEqual(
      connection.paths().map(({ mtu }) => mtu),
      [32_000],
    );
  }
});

test("a bidirectional stream carries bytes both ways and ends both halves", async () => {
  await using peers = await pair();
  const { dialed, accepted } = peers;
  const { send, receive } = await dialed.openBi();
  await send.write(Buffer.from("hello"));
  const finished = send.finish();
  const other = await accepted.acceptBi();
  assert.ok(other);
  assert.equal(Buffer.from(await other.receive.readToEnd(100)).toString(), "hello");
  await finished;
  await other.send.write(Buffer.from("world"));
  await other.send.finish();
  assert.equal(Buffer.from(await receive.readToEnd(100)).toString(), "world");
  assert.equal(await send.stopped(), undefined);
});

test("unidirectional streams go from either side", async () => {
  await using peers = await pair();
  for (const [from, to] of [
    [peers.dialed, peers.accepted],
    [peers.accepted, peers.dialed],
  ] as const) {
    const send = await from.openUni();
    await send.write(Buffer.from("one way"));
    void send.finish();
    const receive = await to.acceptUni();
    assert.equal(Buffer.from((await receive?.readToEnd(100)) ?? []).toString(), "one way");
  }
});

test("8 MB arrive whole through Web Streams", async () => {
  await using peers = await pair();
  const data = randomBytes(8 << 20);
  const { send } = await peers.dialed.openBi();
  const writing = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let offset = 0; offset < data.length; offset += 100_000) {
        controller.enqueue(data.subarray(offset, offset + 100_000));
      }
      controller.close();
    },
  }).pipeTo(send.writable);
  const stream = await peers.accepted.acceptBi();
  assert.ok(stream);
  const hash = createHash("sha256");
  for await (const chunk of stream.receive.readable as AsyncIterable<Uint8Array>) {
    hash.update(chunk);
  }
  await writing;
  assert.equal(hash.digest("hex"), createHash("sha256").update(data).digest("hex"));
});

test("datagrams arrive, and one that is too large is refused with the limit", async () => {
  await using peers = await pair();
  await peers.dialed.sendDatagram(Buffer.from("ping"));
  assert.equal(Buffer.from((await peers.accepted.readDatagram()) ?? []).toString(), "ping");
  await assert.rejects(peers.dialed.sendDatagram(new Uint8Array(70_000)), {
    code: "too-large",
    message: /at most \d+/,
  });
});

test("reset and stop carry their codes, 62 bits of them", async () => {
  await using peers = await pair();
  const code = (1n << 62n) - 1n;
  const { send, receive } = await peers.dialed.openBi();
  await send.write(Buffer.from("x"));
  const other = await peers.accepted.acceptBi();
  assert.ok(other);
  assert.ok(await other.receive.read());
  send.reset(code);
  await assert.rejects(other.receive.read(), { code: "stream-reset", streamCode: code });
  await assert.rejects(send.write(Buffer.from("y")), { code: "stream-ended" });

  receive.stop(7n);
  assert.equal(await other.send.stopped(), 7n);
  await assert.rejects(other.send.write(Buffer.from("z")), {
    code: "stream-stopped",
    streamCode: 7n,
  });
  await assert.rejects(receive.read(), { code: "stream-ended" });
});

test("close() lets finished streams arrive first, and tells both sides code and reason", async () => {
  await using peers = await pair();
  const data = randomBytes(3 << 20);
  const send = await peers.dialed.openUni();
  const reading = peers.accepted.acceptUni().then((receive) => receive?.readToEnd(data.length));
  await send.write(data);
  void send.finish();
  await peers.dialed.close({ code: 42n, reason: "done here" });
  assert.deepEqual(Buffer.from((await reading) ?? []), data);
  assert.deepEqual(await peers.accepted.closed, {
    type: "application",
    origin: "peer",
    code: 42n,
    reason: "done here",
  });
  assert.deepEqual(await peers.dialed.closed, {
    type: "application",
    origin: "local",
    code: 42n,
    reason: "done here",
  });
  await assert.rejects(peers.accepted.openBi(), {
    code: "connection-lost",
    message: /0x2a \(done here\)/,
  });
  assert.equal(await peers.accepted.acceptBi(), undefined);
  assert.equal(await peers.accepted.readDatagram(), undefined);
});

test("F15: streams and waits of a connection that ends reject where they are awaited and nowhere else", async () => {
  await using peers = await pair();
  const { send, receive } = await peers.dialed.openBi();
  await send.write(Buffer.from("x"));
  const unread = receive.read();
  const blocked = send.write(new Uint8Array(20 << 20));
  void send.finish().catch(() => {});
  await peers.accepted.close({ code: 9n, timeoutMs: 0 });
  await assert.rejects(unread, { code: "connection-lost" });
  await assert.rejects(blocked, { code: "connection-lost" });
  await assert.rejects(receive.read(), { code: "connection-lost" });
});

test("a peer that has another key than the dialed one is refused before anything is sent", async () => {
  let accepted = 0;
  await using server = await bind({ alpns: [alpn], authorize: () => ++accepted > 0 });
  await using client = await bind();
  const wrong = EndpointAddr.from({
    id: SecretKey.generate().publicKey,
    addrs: server.addr().addrs,
  });
  await assert.rejects(client.connect(wrong, alpn), {
    code: "wrong-key",
    message: /has another key/,
  });
  assert.equal(accepted, 0);
});

test("a protocol that the peer does not speak is an error that names it", async () => {
  await using server = await bind({ alpns: [alpn] });
  await using client = await bind();
  await assert.rejects(client.connect(server.ticket(), "other/1"), {
    code: "alpn-mismatch",
    message: /the peer does not speak "other\/1"; it serves other protocols$/,
  });
  await assert.rejects(client.connect(server.ticket(), ["other/2", "other/1"]), {
    code: "alpn-mismatch",
    message: /the peer does not speak "other\/2" or "other\/1"/,
  });
});

test("a peer that serves no protocol at all refuses, and the error names that as a possible cause", async () => {
  await using server = await bind();
  await using client = await bind();
  await assert.rejects(client.connect(server.ticket(), alpn), {
    code: "refused",
    message: /the peer refuses connections; it is too busy, or serves no protocol$/,
  });
});

test("of several protocols the peer's choice is taken", async () => {
  await using server = await bind({ alpns: ["b/1", "a/1"] });
  await using client = await bind();
  const [dialed] = await Promise.all([
    client.connect(server.ticket(), ["c/1", "a/1"]),
    server.accept(),
  ]);
  assert.equal(dialed.alpn, "a/1");
});

test("a peer that is not authorized is told so and reaches no handler", async () => {
  const asked: string[] = [];
  await using server = await bind({
    authorize: async ({ id, alpn }) => {
      asked.push(`${id} ${alpn}`);
      return false;
    },
  });
  let handled = 0;
  await using router = new Router(server).accept(alpn, {
    accept: () => {
      handled += 1;
    },
  });
  await using client = await bind();
  const connection = await client.connect(server.ticket(), alpn);
  const { receive } = await connection.openBi();
  await assert.rejects(receive.read(), { code: "not-authorized" });
  await assert.rejects(connection.openBi(), { code: "not-authorized", message: /not authorized/ });
  assert.deepEqual(asked, [`${client.id} ${alpn}`]);
  assert.equal(handled, 0);
  await router.close();
});

test("an authorize hook that fails counts as no and is reported", async () => {
  const errors: unknown[] = [];
  await using server = await bind({
    alpns: [alpn],
    authorize: () => {
      throw new Error("database is away");
    },
    onError: (error) => errors.push(error),
  });
  await using client = await bind();
  const connection = await client.connect(server.ticket(), alpn);
  const cause = await connection.closed;
  assert.equal(cause.type === "application" && cause.code, closeCode.notAuthorized);
  assert.match(String(errors[0]), /database is away/);
});

test("streams opened while the authorize hook thinks are there when it has said yes", async () => {
  let decide = (_yes: boolean): void => {};
  const decision = new Promise<boolean>((resolve) => {
    decide = resolve;
  });
  await using server = await bind({ alpns: [alpn], authorize: () => decision });
  await using client = await bind();
  const connection = await client.connect(server.ticket(), alpn);
  const { send, receive } = await connection.openBi();
  await send.write(Buffer.from("early"));
  const finished = send.finish();
  await finished;
  decide(true);
  const accepted = await server.accept();
  const stream = await accepted?.acceptBi();
  assert.ok(stream);
  assert.equal(Buffer.from(await stream.receive.readToEnd(10)).toString(), "early");
  await stream.send.finish();
  assert.equal((await receive.readToEnd(10)).length, 0);
});

test("a dial that nobody answers ends at its timeout or when it is aborted, and says where it tried", async () => {
  const silent = createSocket("udp4");
  await new Promise<void>((resolve) => silent.bind(0, "127.0.0.1", resolve));
  const address = parseSocketAddress(`127.0.0.1:${silent.address().port}`);
  await using client = await bind();
  const nobody = EndpointAddr.from({
    id: SecretKey.generate().publicKey,
    addrs: [{ type: "ip", address }],
  });
  await assert.rejects(client.connect(nobody, alpn, { timeoutMs: 50 }), {
    code: "dial-timeout",
    message: new RegExp(`${nobody.id.short} at ${formatSocketAddress(address)}: no answer`),
  });
  const controller = new AbortController();
  const dial = client.connect(nobody, alpn, { signal: controller.signal });
  controller.abort(new Error("changed my mind"));
  await assert.rejects(dial, /changed my mind/);
  silent.close();
});

test("an id without addresses cannot be dialed, and a malformed ticket is refused before any I/O", async () => {
  await using client = await bind();
  await assert.rejects(client.connect(SecretKey.generate().publicKey, alpn), {
    code: "no-address",
    message:
      /an id alone does not say where it is: dial a ticket, or bind the endpoint with discovery/,
  });
  await assert.rejects(client.connect("endpointnonsense", alpn), { name: "IdentityError" });
});

test("of several addresses the one that answers is used", async () => {
  const silent = createSocket("udp4");
  await new Promise<void>((resolve) => silent.bind(0, "127.0.0.1", resolve));
  const dead = parseSocketAddress(`127.0.0.1:${silent.address().port}`);
  await using server = await bind({ alpns: [alpn] });
  await using client = await bind();
  const live = server.boundAddresses[0];
  assert.ok(live);
  const addr = EndpointAddr.from({
    id: server.id,
    addrs: [
      { type: "ip", address: dead },
      { type: "ip", address: live },
    ],
  });
  const [dialed, accepted] = await Promise.all([client.connect(addr, alpn), server.accept()]);
  const send = await dialed.openUni();
  await send.write(Buffer.from("found you"));
  void send.finish();
  const receive = await accepted?.acceptUni();
  assert.equal(Buffer.from((await receive?.readToEnd(100)) ?? []).toString(), "found you");
  assert.deepEqual(dialed.remoteAddress, { type: "ip", address: live });
  silent.close();
});

test("two routers on one endpoint serve different protocols, and none twice", async () => {
  await using server = await bind();
  const one = new Router(server).accept("one/1", {
    accept: (connection) => void connection.close({ reason: "one" }),
  });
  const two = new Router(server).accept("two/1", {
    accept: (connection) => void connection.close({ reason: "two" }),
  });
  assert.throws(() => two.accept("one/1", { accept: () => {} }), /has a handler already/);
  await using client = await bind();
  for (const name of ["one", "two"]) {
    const connection = await client.connect(server.ticket(), `${name}/1`);
    const cause = await connection.closed;
    assert.equal(cause.type === "application" && cause.reason, name);
  }
  await one.close();
  await assert.rejects(client.connect(server.ticket(), "one/1"), { code: "alpn-mismatch" });
  await two.close();
});

test("a protocol handler that fails closes its connection and nothing else", async () => {
  const errors: unknown[] = [];
  await using server = await bind({ alpns: [alpn], onError: (error) => errors.push(error) });
  await using router = new Router(server).accept("broken/1", {
    accept: async () => {
      throw new Error("oops");
    },
  });
  await using client = await bind();
  const [good] = await Promise.all([client.connect(server.ticket(), alpn), server.accept()]);
  const bad = await client.connect(server.ticket(), "broken/1");
  const cause = await bad.closed;
  assert.equal(cause.type === "application" && cause.code, closeCode.internalError);
  assert.match(String(errors[0]), /oops/);
  assert.equal(good.closeCause, undefined);
  await router.close();
});

test("closing an endpoint closes its connections on both sides and frees the port", async () => {
  const peers = await pair();
  const address = peers.server.boundAddresses[0];
  assert.ok(address);
  const waiting = peers.server.accept();
  await peers.server.close();
  await peers.server.close();
  assert.equal(await waiting, undefined);
  const cause = await peers.dialed.closed;
  assert.deepEqual(cause, { type: "application", origin: "peer", code: 0n, reason: "" });
  await assert.rejects(peers.server.connect(peers.client.ticket(), alpn), {
    code: "endpoint-closed",
  });
  const again = await Endpoint.bind({ bind: formatSocketAddress(address) });
  await again.close();
  await peers.client.close();
});

test("binding an address that is taken says which and why", async () => {
  await using one = await bind();
  const address = formatSocketAddress(one.boundAddresses[0] ?? assert.fail());
  await assert.rejects(Endpoint.bind({ bind: address }), {
    code: "bind-failed",
    message: new RegExp(`cannot listen on ${address}: .*EADDRINUSE`),
  });
});

test("an endpoint with a saved key keeps its id", async () => {
  const secretKey = SecretKey.generate();
  await using endpoint = await bind({ secretKey });
  assert.equal(endpoint.id.toString(), secretKey.publicKey.toString());
});
