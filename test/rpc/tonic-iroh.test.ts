// gRPC in HTTP/2 on a QUIC stream, with a protocol for each service, both sides of it ours. Against the Rust crate that it
// comes from: test/interop/tonic-iroh.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { EchoServiceAlpn } from "../../gen/echo/v1/echo_quic.ts";
import { deferred } from "../../src/base/deferred.ts";
import { defaultHttp2Limits } from "../../src/http2/http2-server.ts";
import {
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  EndpointError,
  type Peer,
  peerKey,
  type QuicTransportOptions,
  tonicIrohAlpn,
} from "../../src/index.ts";
import { aborted, EchoService, echoImplementation } from "../support/echo-service.ts";
import { hasCode } from "../support/expect-code.ts";
import { loopback, Peers, type PeersOptions } from "../support/peers.ts";

const bothWires = { wires: ["connect-quic", "tonic-iroh"] } as const;

function start(options: PeersOptions = {}): Promise<Peers> {
  return Peers.start({
    ...options,
    router: { ...bothWires, ...options.router },
    transport: { wire: "tonic-iroh", ...options.transport },
  });
}

const alpnsOf = ({ connections }: Endpoint): string[] => [...connections].map(({ alpn }) => alpn);

test("the protocol of a service is the one that its generated code names", () => {
  assert.equal(tonicIrohAlpn(EchoService.typeName), EchoServiceAlpn);
});

test("a router serves both wires at once, and handlers know the peer on either", async () => {
  const callers: Peer[] = [];
  await using peers = await start({
    implementation: {
      echo: ({ message }, { values }) => {
        callers.push(values.get(peerKey));
        return { message };
      },
    },
  });
  assert.equal((await peers.echo.echo({ message: "x" })).message, "x");
  const ours = createClient(EchoService, peers.connect({ wire: "connect-quic" }));
  assert.equal((await ours.echo({ message: "y" })).message, "y");
  assert.deepEqual(
    callers.map(({ id, connection }) => [id.equals(peers.client.id), connection.alpn]),
    [
      [true, "/echo.v1.EchoService/1.0"],
      [true, "connect-quic/1"],
    ],
  );
});

describe("a client that takes several wires", () => {
  const wire = ["connect-quic", "tonic-iroh"] as const;
  for (const [wires, expected] of [
    [["connect-quic", "tonic-iroh"], "connect-quic/1"],
    [["tonic-iroh", "connect-quic"], "connect-quic/1"],
    [["tonic-iroh"], "/echo.v1.EchoService/1.0"],
    [["connect-quic"], "connect-quic/1"],
  ] as const) {
    test(`speaks ${expected} with a peer that serves ${wires.join(" and ")}`, async () => {
      await using peers = await start({ router: { wires }, transport: { wire } });
      const received: number[] = [];
      for await (const { number } of peers.echo.repeat({ message: "x", count: 3 })) {
        received.push(number);
      }
      assert.deepEqual(received, [1, 2, 3]);
      assert.deepEqual(alpnsOf(peers.client), [expected]);
    });
  }
});

for (const wire of ["tonic-iroh", "connect-quic"] as const) {
  test(`messages of any size arrive as they were, both ways, over ${wire}`, async () => {
    await using peers = await start({
      transport: { wire },
      implementation: {
        async *converse(requests) {
          for await (const { message } of requests) {
            yield { message };
          }
        },
      },
    });
    for (const size of [3_000, 8_000, 12_000, 50_000, 200_000]) {
      const messages = ["a", "b", "c", "d"].map((letter) => ({ message: letter.repeat(size) }));
      const requests = (async function* () {
        yield* messages;
      })();
      const answers: string[] = [];
      for await (const { message } of peers.echo.converse(requests)) {
        answers.push(message);
      }
      assert.ok(messages.every(({ message }, index) => message === answers[index]));
      assert.equal(answers.length, messages.length);
    }
  });
}

test("transports of an endpoint to a peer share the connection of a service", async () => {
  await using peers = await start();
  await peers.echo.echo({});
  const other = peers.connect({ wire: "tonic-iroh" });
  await createClient(EchoService, other).echo({});
  assert.equal(peers.client.connections.size, 1);
  assert.equal(other.state, "connected");
  assert.equal((await other.connect()).alpn, EchoServiceAlpn);
  await other.close();
  assert.equal((await peers.echo.echo({ message: "still" })).message, "still");
  await assert.rejects(createClient(EchoService, other).echo({}), hasCode(Code.Canceled, /closed/));
});

test("a transport that has called nothing has no connection to give", async () => {
  await using peers = await start();
  assert.equal(peers.transport.state, "idle");
  assert.equal(peers.transport.activeCalls, 0);
  assert.equal(peers.transport.queuedCalls, 0);
  await assert.rejects(peers.transport.connect(), hasCode(Code.FailedPrecondition, /call one/));
  assert.equal(peers.client.connections.size, 0);
});

test("a peer that does not serve the wire is Unavailable, and the error says why", async () => {
  await using peers = await start({ router: { wires: ["connect-quic"] } });
  await assert.rejects(
    peers.echo.echo({}),
    hasCode(Code.Unavailable, /does not speak "\/echo\.v1\.EchoService\/1\.0"/),
  );
});

test("the hooks of endpoint and router are asked", async () => {
  const asked: string[] = [];
  let welcome = false;
  await using peers = await start({
    server: {
      authorize: ({ id, alpn }) => {
        asked.push(`${id.short} ${alpn}`);
        return true;
      },
    },
    router: {
      authorize: (caller, method) => {
        asked.push(`${caller.type === "peer" ? caller.id.short : "?"} ${method.name}`);
        return welcome;
      },
    },
  });
  await assert.rejects(peers.echo.echo({}), hasCode(Code.PermissionDenied, /may not call/));
  welcome = true;
  await peers.echo.echo({});
  const { short } = peers.client.id;
  assert.deepEqual(asked, [`${short} ${EchoServiceAlpn}`, `${short} Echo`, `${short} Echo`]);
});

test("a peer that the endpoint does not authorize gets no answer", async () => {
  await using peers = await start({ server: { authorize: () => false } });
  await assert.rejects(peers.echo.echo({}), hasCode(Code.PermissionDenied));
});

test("F17: the handler's signal says why its call is over", async () => {
  const started = { deadline: deferred<void>(), cancel: deferred<void>(), loss: deferred<void>() };
  const reasons = {
    deadline: deferred<unknown>(),
    cancel: deferred<unknown>(),
    loss: deferred<unknown>(),
  };
  await using peers = await start({
    implementation: {
      echo: async ({ message }, { signal }) => {
        const which = message as keyof typeof reasons;
        started[which].resolve();
        await aborted(signal);
        reasons[which].resolve(signal.reason);
        return {};
      },
    },
  });
  const { promise: begun } = started.deadline;
  let hasBegun = false;
  void begun.then(() => {
    hasBegun = true;
  });
  // On a busy machine, the time may be up before the request is there.
  for (let timeoutMs = 50; !hasBegun; timeoutMs *= 2) {
    const timeUp = peers.echo.echo({ message: "deadline" }, { timeoutMs });
    await assert.rejects(timeUp, hasCode(Code.DeadlineExceeded));
  }
  assert.ok(hasCode(Code.DeadlineExceeded)(await reasons.deadline.promise));
  const controller = new AbortController();
  const canceled = peers.echo.echo({ message: "cancel" }, { signal: controller.signal });
  await started.cancel.promise;
  controller.abort();
  await assert.rejects(canceled, hasCode(Code.Canceled));
  assert.ok(hasCode(Code.Canceled)(await reasons.cancel.promise));
  const lost = peers.echo.echo({ message: "loss" });
  await started.loss.promise;
  const connection = await peers.transport.connect();
  void connection.close({ timeoutMs: 0 });
  await assert.rejects(lost, hasCode(Code.Canceled, /closed by this side/));
  assert.ok(hasCode(Code.Unavailable)(await reasons.loss.promise));
});

test("a connection that the peer closes is dialed again by the next call", async () => {
  await using peers = await start();
  await peers.echo.echo({});
  const first = await peers.transport.connect();
  for (const connection of peers.server.connections) {
    void connection.close({ timeoutMs: 0 });
  }
  await first.closed;
  assert.equal((await peers.echo.echo({ message: "again" })).message, "again");
  assert.notEqual(await peers.transport.connect(), first);
});

test("F6: a router that closes lets calls end, and takes no more", async () => {
  const started = deferred<void>();
  const goOn = deferred<void>();
  await using peers = await start({
    implementation: {
      echo: async ({ message }) => {
        started.resolve();
        await goOn.promise;
        return { message };
      },
    },
  });
  const running = peers.echo.echo({ message: "slow" });
  await started.promise;
  const closed = peers.router.close();
  await assert.rejects(peers.echo.echo({}), hasCode(Code.Unavailable));
  goOn.resolve();
  assert.equal((await running).message, "slow");
  await closed;
  assert.equal(peers.server.connections.size, 0);
});

describe("what a stranger sends", () => {
  test("more streams than there is room for are reset with code 1, and others go on", async () => {
    await using peers = await start();
    const connection = await peers.client.connect(peers.server.ticket(), EchoServiceAlpn);
    const streams = await Promise.all(
      Array.from({ length: defaultHttp2Limits.maxSessions + 1 }, () => connection.openBi()),
    );
    for (const { send } of streams) {
      await send.write(Buffer.from(preface));
    }
    const last = streams.at(-1);
    assert.equal(await last?.send.stopped(), 1n);
    await assert.rejects(
      async () => await last?.receive.read(),
      (error) => error instanceof EndpointError && error.streamCode === 1n,
    );
    assert.ok(await streams[0]?.receive.read(), "the server's SETTINGS");
    // Room comes back when one has ended.
    streams[0]?.send.reset();
    streams[0]?.receive.stop();
    for (;;) {
      const { send, receive } = await connection.openBi();
      await send.write(Buffer.from(preface));
      if ((await receive.read().catch(() => undefined)) !== undefined) {
        break;
      }
    }
    assert.equal((await peers.echo.echo({ message: "x" })).message, "x");
    await connection.close({ timeoutMs: 0 });
  });

  test("what is not HTTP/2 ends its own stream alone", async () => {
    await using peers = await start();
    const connection = await peers.client.connect(peers.server.ticket(), EchoServiceAlpn);
    const { send, receive } = await connection.openBi();
    await send.write(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
    await send.finish().catch(() => {});
    await assert.rejects(async () => {
      for await (const _bytes of receive) {
        // SETTINGS and GOAWAY may come before it is given up.
      }
    }, EndpointError);
    const second = await connection.openBi();
    await second.send.write(Buffer.from(preface));
    assert.ok(await second.receive.read());
    await connection.close({ timeoutMs: 0 });
    assert.deepEqual(peers.reports, []);
  });

  test("a server that resets the stream fails calls as Unavailable, and is dialed again", async () => {
    await using server = await Endpoint.bind({ bind: loopback, alpns: [EchoServiceAlpn] });
    await using client = await Endpoint.bind({ bind: loopback });
    const serving = (async () => {
      for (;;) {
        const connection = await server.accept();
        const stream = await connection?.acceptBi();
        stream?.receive.stop(1n);
        stream?.send.reset(1n);
        if (connection === undefined) {
          return;
        }
      }
    })();
    await using transport = createQuicTransport({
      endpoint: client,
      to: server.ticket(),
      wire: "tonic-iroh",
    });
    const echo = createClient(EchoService, transport);
    for (let round = 0; round < 2; round++) {
      await assert.rejects(echo.echo({}), hasCode(Code.Unavailable, /gave up its stream.*0x1/));
    }
    await server.close({ timeoutMs: 0 });
    await serving;
  });
});

/** What a client of HTTP/2 begins with, and empty SETTINGS (RFC 9113 §3.4). */
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

describe("options that cannot be", () => {
  for (const [name, options, expected] of [
    ["another protocol", { wire: "tonic-iroh", protocol: "connect" }, TypeError],
    ["no wire", { wire: [] }, RangeError],
    ["an unknown wire", { wire: "smoke-signals" }, TypeError],
    ["what no transport takes", { wire: "tonic-iroh", dialTimeoutMs: 0 }, RangeError],
  ] as const) {
    test(`${name} is refused at once`, async () => {
      await using endpoint = await Endpoint.bind({ bind: loopback });
      const to = endpoint.id.toString();
      assert.throws(
        () => createQuicTransport({ endpoint, to, ...(options as Partial<QuicTransportOptions>) }),
        expected,
      );
    });
  }

  test("a router with no wire is none", async () => {
    await using endpoint = await Endpoint.bind({ bind: loopback });
    assert.throws(() => createPeerRouter(endpoint, { wires: [] }), RangeError);
  });

  test("a service whose protocol somebody else serves is refused", async () => {
    await using endpoint = await Endpoint.bind({ bind: loopback });
    endpoint.handle(EchoServiceAlpn, { accept: () => {} });
    await using router = createPeerRouter(endpoint, bothWires);
    assert.throws(() => router.service(EchoService, echoImplementation), TypeError);
  });
});
