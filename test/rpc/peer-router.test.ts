import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { deferred } from "../../src/base/deferred.ts";
import {
  createPeerRouter,
  Endpoint,
  type Peer,
  type PeerRouterOptions,
  peerKey,
} from "../../src/index.ts";
import { aborted, EchoService, echoImplementation } from "../support/echo-service.ts";
import { hasCode } from "../support/expect-code.ts";
import { loopback, Peers } from "../support/peers.ts";

test("a handler finds its caller, and the connection, in the context", async () => {
  const caller = deferred<Peer>();
  await using peers = await Peers.start({
    implementation: {
      echo: (_request, { values }) => {
        caller.resolve(values.get(peerKey));
        return {};
      },
    },
  });
  await peers.echo.echo({});
  const { id, connection } = await caller.promise;
  assert.ok(id.equals(peers.client.id));
  assert.ok(connection.remoteId.equals(peers.client.id));
  assert.equal(connection.role, "server");
  assert.ok(connection.paths().length > 0);
});

test("services may be registered while calls are served", async () => {
  await using endpoint = await Endpoint.bind({ bind: loopback });
  const router = createPeerRouter(endpoint);
  await using peers = await Peers.start();
  const echo = createClient(EchoService, peers.connect({ to: endpoint.ticket() }));
  await assert.rejects(echo.echo({}), hasCode(Code.Unimplemented, /^no service/));
  router.rpc(EchoService.method.echo, echoImplementation.echo);
  assert.equal((await echo.echo({ message: "x" })).message, "x");
  await assert.rejects(
    echo.collect((async function* () {})()),
    hasCode(Code.Unimplemented, /has no method Collect/),
  );
  const paths = router.handlers.map(({ requestPath }) => requestPath);
  assert.deepEqual(
    paths.filter((path) => !path.startsWith("/grpc.health.v1.Health/")),
    [`/${EchoService.typeName}/Echo`],
  );
  await router.close({ graceMs: 0 });
});

test("an endpoint has one peer router at a time", async () => {
  await using peers = await Peers.start();
  assert.throws(() => createPeerRouter(peers.server), TypeError);
  await peers.router.close();
  const next = createPeerRouter(peers.server).service(EchoService, echoImplementation);
  assert.equal((await peers.echo.echo({ message: "x" })).message, "x");
  await next.close({ graceMs: 0 });
});

test("the router's hook decides on each call, before the handler", async () => {
  let welcome = true;
  await using peers = await Peers.start({
    router: {
      authorize: (caller, method) =>
        welcome &&
        caller.type === "peer" &&
        caller.id.equals(peers.client.id) &&
        method.parent === EchoService,
    },
  });
  await peers.echo.echo({});
  welcome = false;
  await assert.rejects(peers.echo.echo({}), hasCode(Code.PermissionDenied));
});

describe("closing a router", () => {
  test("F8: loses nothing of a stream that was sent to its end, however late it is read", async () => {
    await using peers = await Peers.start();
    const count = 500;
    const stream = peers.echo.repeat({ message: "x".repeat(1_000), count });
    const responses = stream[Symbol.asyncIterator]();
    assert.equal((await responses.next()).value?.number, 1);
    const [connection] = peers.client.connections;
    assert.ok(connection);
    await peers.router.close({ graceMs: 60_000 });
    await connection.closed;
    let last = 1;
    for (let next = await responses.next(); next.done !== true; next = await responses.next()) {
      last += 1;
      assert.equal(next.value.number, last);
    }
    assert.equal(last, count);
  });

  test("F6: lets running calls finish with their answer, and refuses new ones", async () => {
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
      transport: { dialTimeoutMs: 500 },
    });
    const answer = peers.echo.echo({ message: "x" });
    await started.promise;
    const closed = peers.router.close({ graceMs: 60_000 });
    await assert.rejects(peers.echo.echo({ message: "y" }), hasCode(Code.Unavailable));
    gate.resolve();
    assert.equal((await answer).message, "x");
    await closed;
    await peers.router.closed;
    assert.equal(peers.server.connections.size, 0);
  });

  test("F6: lets a stream finish that is under way", async () => {
    const gate = deferred<void>();
    await using peers = await Peers.start({
      implementation: {
        async *repeat() {
          yield { number: 1 };
          await gate.promise;
          yield { number: 2 };
        },
      },
    });
    const answers = peers.echo.repeat({})[Symbol.asyncIterator]();
    assert.equal((await answers.next()).value?.number, 1);
    const closed = peers.router.close({ graceMs: 60_000 });
    gate.resolve();
    assert.equal((await answers.next()).value?.number, 2);
    assert.equal((await answers.next()).done, true);
    await closed;
  });

  test("F6: ends by its deadline, whatever the handlers do, and tells them", async () => {
    const started = deferred<AbortSignal>();
    await using peers = await Peers.start({
      implementation: {
        echo: (_request, { signal }) => {
          started.resolve(signal);
          return new Promise(() => {});
        },
      },
    });
    const answer = assert.rejects(peers.echo.echo({}), hasCode(Code.Unavailable));
    const signal = await started.promise;
    await peers.router.close({ graceMs: 20 });
    await answer;
    hasCode(Code.Unavailable, /closed by this side/)(await aborted(signal));
  });

  test("F6: resolves when a caller vanished without a word", async () => {
    const started = deferred<void>();
    await using peers = await Peers.start({
      implementation: {
        echo: () => {
          started.resolve();
          return new Promise(() => {});
        },
      },
    });
    const answer = peers.echo.echo({});
    await started.promise;
    answer.catch(() => {});
    await peers.client.close({ timeoutMs: 0 });
    await peers.router.close({ graceMs: 60_000 });
  });

  test("F6: resolves when a handler answered before it had read the request", async () => {
    await using peers = await Peers.start({ implementation: { collect: async () => ({}) } });
    await peers.echo.collect(
      (async function* () {
        for (;;) {
          yield { message: "x" };
          await new Promise((resolve) => setImmediate(resolve));
        }
      })(),
    );
    await peers.router.close({ graceMs: 60_000 });
  });

  test("F18: calls go on at the next router of the endpoint, over a new connection", async () => {
    const gate = deferred<void>();
    const started = deferred<void>();
    await using peers = await Peers.start({
      implementation: {
        echo: async () => {
          started.resolve();
          await gate.promise;
          return { message: "old" };
        },
      },
    });
    const old = peers.echo.echo({});
    // When something else fails before it is awaited, that is the error to see.
    old.catch(() => {});
    await started.promise;
    const before = await peers.transport.connect();
    const closed = peers.router.close({ graceMs: 60_000 });
    const next = createPeerRouter(peers.server).service(EchoService, {
      echo: () => ({ message: "new" }),
    });
    // The news that the old one goes away may cross with this call: then it is sent again.
    assert.equal((await peers.echo.echo({})).message, "new");
    assert.notEqual(await peers.transport.connect(), before);
    gate.resolve();
    assert.equal((await old).message, "old");
    await closed;
    await next.close({ graceMs: 0 });
  });

  test("happens with its endpoint", async () => {
    await using peers = await Peers.start();
    await peers.echo.echo({});
    await peers.server.close();
    await peers.router.closed;
  });

  test("F27: again and again leaves no connection and no handler behind", async () => {
    await using peers = await Peers.start();
    await peers.router.close();
    for (let i = 0; i < 20; i++) {
      const router = createPeerRouter(peers.server).service(EchoService, echoImplementation);
      assert.equal((await peers.echo.echo({ message: "x" })).message, "x");
      await router.close();
    }
    assert.equal(peers.server.connections.size, 0);
  });
});

describe("options", () => {
  const rows: readonly [what: string, options: object, error: RegExp][] = [
    ["a hook that is none", { authorize: true }, /^TypeError: option authorize/],
    ["no calls at all", { maxConcurrentCalls: 0 }, /^RangeError: option maxConcurrentCalls/],
    ["a negative time", { handlerTimeoutMs: -1 }, /^RangeError: option handlerTimeoutMs/],
    ["a limit that is none", { readMaxBytes: "1" }, /^TypeError: option readMaxBytes/],
    ["one interceptor alone", { interceptors: () => {} }, /^TypeError: option interceptors/],
  ];
  for (const [what, options, error] of rows) {
    test(`${what} is refused at once`, async () => {
      await using endpoint = await Endpoint.bind({ bind: loopback });
      assert.throws(() => createPeerRouter(endpoint, options as PeerRouterOptions), error);
    });
  }
});

test("F16: a handler that does not read hears at once that the caller is gone", async () => {
  const fired = deferred<unknown>();
  await using peers = await Peers.start({
    implementation: {
      collect: async (_requests, { signal }) => {
        signal.addEventListener("abort", () => fired.resolve(signal.reason));
        await fired.promise;
        return {};
      },
    },
  });
  const abort = new AbortController();
  // More than what waits for a reader outside of the engine.
  const held = deferred<void>();
  async function* endless() {
    for (let sent = 0; ; sent += 10_000) {
      if (sent > 500_000) {
        held.resolve();
      }
      yield { message: "x".repeat(10_000) };
    }
  }
  const answer = peers.echo.collect(endless(), { signal: abort.signal });
  await held.promise;
  abort.abort();
  await assert.rejects(answer, (error) => ConnectError.from(error).code === Code.Canceled);
  assert.equal(ConnectError.from(await fired.promise).code, Code.Canceled);
});
