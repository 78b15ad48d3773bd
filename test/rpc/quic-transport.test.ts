import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { deferred } from "../../src/base/deferred.ts";
import {
  Connection,
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  EndpointAddr,
  EndpointError,
  type QuicTransportOptions,
  SecretKey,
} from "../../src/index.ts";
import { aborted, EchoService, echoImplementation } from "../support/echo-service.ts";
import { hasCode } from "../support/expect-code.ts";
import { loopback, Peers } from "../support/peers.ts";

test("dials nobody before the first call", async () => {
  await using peers = await Peers.start();
  assert.equal(peers.transport.state, "idle");
  assert.equal(peers.client.connections.size, 0);
  assert.equal((await peers.echo.echo({ message: "x" })).message, "x");
  assert.equal(peers.transport.state, "connected");
  assert.equal(peers.transport.activeCalls, 0);
});

test("all transports of an endpoint to a peer share a connection, whatever their protocol", async () => {
  await using peers = await Peers.start();
  for (const protocol of ["connect", "grpc", "grpc-web"] as const) {
    const transport = peers.connect({ protocol });
    await createClient(EchoService, transport).echo({ message: "x" });
  }
  await peers.echo.echo({ message: "x" });
  assert.equal(peers.client.connections.size, 1);
  assert.equal(peers.server.connections.size, 1);
});

test("calls that start together share the connection that they wait for", async () => {
  await using peers = await Peers.start();
  await Promise.all(Array.from({ length: 20 }, () => peers.echo.echo({ message: "x" })));
  assert.equal(peers.server.connections.size, 1);
});

test("knows whom it calls, and the handler who calls", async () => {
  await using peers = await Peers.start();
  assert.ok(peers.transport.peer.equals(peers.server.id));
});

test("gives the connection to who wants to look at it", async () => {
  await using peers = await Peers.start();
  const connection = await peers.transport.connect();
  assert.ok(connection instanceof Connection);
  assert.ok(connection.remoteId.equals(peers.server.id));
  assert.equal(connection.alpn, "connect-quic/1");
  assert.equal(await peers.transport.connect(), connection);
  await peers.echo.echo({ message: "x" });
  assert.equal(peers.client.connections.size, 1);
  const reason = new Error("no need");
  await assert.rejects(peers.transport.connect({ signal: AbortSignal.abort(reason) }), reason);
});

test("goes on with a new connection after the old one is lost", async () => {
  await using peers = await Peers.start();
  await peers.echo.echo({ message: "x" });
  const [first] = peers.server.connections;
  await first?.close({ timeoutMs: 0 });
  const lost = await peers.transport.connect();
  await lost.closed;
  assert.equal((await peers.echo.echo({ message: "y" })).message, "y");
  assert.notEqual(await peers.transport.connect(), lost);
});

describe("targets", () => {
  for (const [what, to, message] of [
    ["an empty text", "", /empty/],
    ["a ticket that is cut short", "endpointabinjeujhnnstdk53r52wa354l64gwfd6dn", /invalid/],
    ["an id with a wrong digit", "z".repeat(64), /invalid endpoint id/],
    ["an address alone", "127.0.0.1:4433", /does not say who the peer is/],
    ["nothing", undefined, /expected a ticket/],
  ] as const) {
    test(`${what} is refused with InvalidArgument before anything is sent`, async () => {
      await using endpoint = await Endpoint.bind({ bind: loopback });
      assert.throws(
        () => createQuicTransport({ endpoint, to: to as string }),
        hasCode(Code.InvalidArgument, message),
      );
    });
  }

  test("a peer of which no address is known is Unavailable", async () => {
    await using endpoint = await Endpoint.bind({ bind: loopback });
    const to = SecretKey.generate().publicKey;
    const echo = createClient(EchoService, createQuicTransport({ endpoint, to }));
    await assert.rejects(
      echo.echo({}),
      hasCode(Code.Unavailable, new RegExp(`${to.short}.*an id alone does not say where it is`)),
    );
  });

  test("addresses that a later transport brings serve the earlier one too", async () => {
    await using peers = await Peers.start();
    const endpoint = peers.client;
    const early = createClient(
      EchoService,
      createQuicTransport({ endpoint, to: peers.server.id.toString() }),
    );
    assert.equal((await early.echo({ message: "x" })).message, "x");
  });

  test("addresses of a peer that has moved often do not pile up", async () => {
    await using peers = await Peers.start();
    for (let i = 0; i < 100; i++) {
      const to = EndpointAddr.from({ id: peers.server.id, addrs: [`127.0.0.1:${i + 1}`] });
      peers.connect({ to });
    }
    const echo = createClient(EchoService, peers.connect());
    assert.equal((await echo.echo({ message: "x" })).message, "x");
  });

  test("a peer with another key than the dialed one is Unauthenticated, and gets no request", async () => {
    await using peers = await Peers.start();
    const to = EndpointAddr.from({
      id: SecretKey.generate().publicKey,
      addrs: peers.server.addr().addrs,
    });
    const echo = createClient(EchoService, peers.connect({ to }));
    await assert.rejects(echo.echo({}), (error) => {
      hasCode(Code.Unauthenticated, new RegExp(to.id.short))(error);
      assert.ok((error as Error).cause instanceof EndpointError);
      return true;
    });
    assert.equal(peers.server.connections.size, 0);
  });

  test("a peer that does not serve calls is Unavailable", async () => {
    await using server = await Endpoint.bind({ bind: loopback, alpns: ["other/1"] });
    await using endpoint = await Endpoint.bind({ bind: loopback });
    const echo = createClient(EchoService, createQuicTransport({ endpoint, to: server.ticket() }));
    await assert.rejects(echo.echo({}), hasCode(Code.Unavailable, /does not speak/));
  });

  test("a peer whose endpoint does not authorize us is PermissionDenied", async () => {
    await using peers = await Peers.start({ server: { authorize: () => false } });
    for (let i = 0; i < 3; i++) {
      await assert.rejects(peers.echo.echo({ message: "x" }), hasCode(Code.PermissionDenied));
    }
  });

  test("a peer that is gone is Unavailable after the dial timeout", async () => {
    await using endpoint = await Endpoint.bind({ bind: loopback });
    const server = await Endpoint.bind({ bind: loopback });
    const to = server.ticket();
    await server.close();
    const transport = createQuicTransport({ endpoint, to, dialTimeoutMs: 100 });
    await assert.rejects(
      createClient(EchoService, transport).echo({}),
      hasCode(Code.Unavailable, new RegExp(server.id.short)),
    );
  });
});

test("F19: a client that was there first works once the server is up, without being made anew", async () => {
  const secretKey = SecretKey.generate();
  await using endpoint = await Endpoint.bind({ bind: loopback });
  const placeholder = await Endpoint.bind({ bind: loopback, secretKey });
  const to = placeholder.ticket();
  const [address] = placeholder.boundAddresses;
  await placeholder.close();
  const transport = createQuicTransport({ endpoint, to, dialTimeoutMs: 200 });
  const echo = createClient(EchoService, transport);
  for (let i = 0; i < 3; i++) {
    await assert.rejects(echo.echo({}), hasCode(Code.Unavailable));
  }
  await using server = await Endpoint.bind({ bind: `127.0.0.1:${address?.port}`, secretKey });
  createPeerRouter(server).service(EchoService, echoImplementation);
  const patient = createQuicTransport({ endpoint, to });
  const answer = await createClient(EchoService, patient).echo({ message: "x" });
  assert.equal(answer.message, "x");
  assert.equal((await echo.echo({ message: "y" })).message, "y");
});

describe("closing a transport", () => {
  test("refuses new calls with Canceled, and closes the connection", async () => {
    await using peers = await Peers.start();
    await peers.echo.echo({ message: "x" });
    const connection = await peers.transport.connect();
    await peers.transport.close();
    await peers.transport.close();
    await assert.rejects(peers.echo.echo({}), hasCode(Code.Canceled, /transport is closed/));
    await assert.rejects(peers.transport.connect(), hasCode(Code.Canceled));
    assert.equal((await connection.closed).type, "application");
  });

  test("lets running calls finish", async () => {
    const gate = deferred<void>();
    const started = deferred<void>();
    await using peers = await Peers.start({
      implementation: {
        echo: async ({ message }) => {
          started.resolve();
          await gate.promise;
          return { message };
        },
      },
    });
    const answer = peers.echo.echo({ message: "x" });
    await started.promise;
    const closed = peers.transport.close({ timeoutMs: 60_000 });
    assert.equal(peers.transport.activeCalls, 1);
    gate.resolve();
    assert.equal((await answer).message, "x");
    await closed;
    assert.equal(peers.client.connections.size, 0);
  });

  test("cancels calls that take too long", async () => {
    const started = deferred<AbortSignal>();
    await using peers = await Peers.start({
      implementation: {
        echo: async (_request, { signal }) => {
          started.resolve(signal);
          await aborted(signal);
          return {};
        },
      },
    });
    const answer = peers.echo.echo({});
    const refused = assert.rejects(answer, hasCode(Code.Canceled, /transport is closed/));
    const signal = await started.promise;
    await peers.transport.close({ timeoutMs: 20 });
    await refused;
    hasCode(Code.Canceled)(await aborted(signal));
  });

  test("leaves the connection to other transports", async () => {
    await using peers = await Peers.start();
    const other = peers.connect();
    const echo = createClient(EchoService, other);
    await peers.echo.echo({});
    const connection = await other.connect();
    await peers.transport.close();
    await echo.echo({});
    assert.equal(await other.connect(), connection);
    await other.close();
    await connection.closed;
    assert.equal(peers.client.connections.size, 0);
  });

  test("calls off a dial", async () => {
    await using endpoint = await Endpoint.bind({ bind: loopback });
    const server = await Endpoint.bind({ bind: loopback });
    const to = server.ticket();
    await server.close();
    const transport = createQuicTransport({ endpoint, to });
    const answer = assert.rejects(
      createClient(EchoService, transport).echo({}),
      hasCode(Code.Canceled),
    );
    await transport.close({ timeoutMs: 10 });
    await answer;
  });

  test("of an endpoint ends its calls with Canceled", async () => {
    const started = deferred<void>();
    await using peers = await Peers.start({
      implementation: {
        echo: async (_request, { signal }) => {
          started.resolve();
          await aborted(signal);
          return {};
        },
      },
    });
    const answer = assert.rejects(peers.echo.echo({}), hasCode(Code.Canceled));
    await started.promise;
    await peers.client.close();
    await answer;
    await assert.rejects(peers.echo.echo({}), hasCode(Code.Canceled, /closed/));
  });
});

test("F14: calls above the peer's stream limit wait, visibly and with their deadlines running", async () => {
  const gate = deferred<void>();
  let started = 0;
  await using peers = await Peers.start({
    server: { transport: { maxBidirectionalStreams: 2 } },
    implementation: {
      echo: async ({ message }) => {
        started += 1;
        await gate.promise;
        return { message };
      },
    },
  });
  await peers.transport.connect();
  const first = [peers.echo.echo({ message: "0" }), peers.echo.echo({ message: "1" })];
  const late = peers.echo.echo({ message: "2" }, { timeoutMs: 50 });
  const patient = peers.echo.echo({ message: "3" });
  assert.equal(peers.transport.queuedCalls, 2);
  await assert.rejects(late, hasCode(Code.DeadlineExceeded));
  assert.equal(peers.transport.queuedCalls, 1);
  gate.resolve();
  assert.deepEqual(
    (await Promise.all([...first, patient])).map(({ message }) => message),
    ["0", "1", "3"],
  );
  assert.equal(started, 3);
  assert.equal(peers.transport.queuedCalls, 0);
});

test("F13: streams come back however a call ends, so a few are enough for many calls", async () => {
  await using peers = await Peers.start({
    server: { transport: { maxBidirectionalStreams: 5 } },
  });
  for (let i = 0; i < 60; i++) {
    const abort = new AbortController();
    const message = String(i);
    const cancelled = peers.echo
      .repeat({ message, count: 1_000_000 }, { signal: abort.signal })
      [Symbol.asyncIterator]();
    await cancelled.next();
    abort.abort();
    await assert.rejects(cancelled.next(), hasCode(Code.Canceled));
    await assert.rejects(peers.echo.collect(failing()), hasCode(Code.Internal, /out of messages/));
    assert.equal((await peers.echo.echo({ message })).message, message);
  }
  assert.equal(peers.transport.queuedCalls, 0);
  assert.equal(peers.transport.activeCalls, 0);
  assert.equal(peers.client.connections.size, 1);
});

test("F26: two peers with one key do not throw each other out", async () => {
  const secretKey = SecretKey.generate();
  await using one = await Peers.start({ server: { secretKey } });
  await using two = await Peers.start({ server: { secretKey } });
  for (let i = 0; i < 5; i++) {
    assert.equal((await one.echo.echo({ message: "one" })).message, "one");
    assert.equal((await two.echo.echo({ message: "two" })).message, "two");
  }
  assert.equal(one.client.connections.size, 1);
  assert.equal(two.client.connections.size, 1);
});

test("F3: a quiet call outlives the idle timeout while the peer is there", async () => {
  await using peers = await Peers.start({
    implementation: {
      async *repeat() {
        yield { number: 1 };
        await new Promise(() => {});
      },
    },
    client: { transport: { idleTimeoutMs: 1_500 } },
    transport: { keepAliveIntervalMs: 300 },
  });
  const connection = await peers.transport.connect();
  const abort = new AbortController();
  const answers = peers.echo.repeat({}, { signal: abort.signal })[Symbol.asyncIterator]();
  await answers.next();
  const next = answers.next();
  // All that arrives from here on is keep-alive; ten of them take twice the idle timeout.
  const before = connection.stats().datagramsReceived;
  while (connection.stats().datagramsReceived < before + 10) {
    assert.equal(connection.closeCause, undefined);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  abort.abort();
  await assert.rejects(next, hasCode(Code.Canceled));
});

test("F5: a dial whose call was given up goes on, and serves the next call", async () => {
  await using peers = await Peers.start();
  const abort = new AbortController();
  const answer = peers.echo.echo({}, { signal: abort.signal });
  abort.abort();
  await assert.rejects(answer, hasCode(Code.Canceled));
  assert.equal(peers.transport.state, "connecting");
  await peers.echo.echo({});
  assert.equal(peers.server.connections.size, 1);
});

describe("options", () => {
  const rows: readonly [what: string, options: object, error: RegExp][] = [
    ["no endpoint", { endpoint: {} }, /^TypeError: option endpoint: expected an Endpoint/],
    ["an unknown protocol", { protocol: "http" }, /^TypeError: option protocol: .*"http"/],
    ["a keep-alive that never stops", { keepAliveIntervalMs: 1 }, /^RangeError: .*AliveInterval/],
    ["an unknown keep-alive", { keepAlive: true }, /^TypeError: option keepAlive/],
    ["a timeout that is none", { dialTimeoutMs: "1" }, /^TypeError: option dialTimeoutMs/],
    ["no time at all", { dialTimeoutMs: 0 }, /^RangeError: option dialTimeoutMs: .* found 0/],
    ["a timeout that is no number", { defaultTimeoutMs: Number.NaN }, /^TypeError: .*NaN/],
    ["a limit below 1", { readMaxBytes: 0 }, /^RangeError: option readMaxBytes/],
    ["a limit above all", { writeMaxBytes: 2 ** 32 }, /^RangeError: option writeMaxBytes/],
    ["a negative size", { compressMinBytes: -1 }, /^RangeError: option compressMinBytes/],
    ["one interceptor alone", { interceptors: () => {} }, /^TypeError: option interceptors/],
    ["one compression alone", { acceptCompression: {} }, /^TypeError: option acceptCompression/],
  ];
  for (const [what, options, error] of rows) {
    test(`${what} is refused at once`, async () => {
      await using endpoint = await Endpoint.bind({ bind: loopback });
      const to = endpoint.ticket();
      assert.throws(
        () => createQuicTransport({ endpoint, to, ...options } as QuicTransportOptions),
        error,
      );
    });
  }
});

async function* failing(): AsyncGenerator<{ message: string }> {
  yield { message: "a" };
  throw new Error("out of messages");
}
