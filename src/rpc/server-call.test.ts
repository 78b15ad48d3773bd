import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import {
  aborted,
  EchoService,
  echoImplementation,
  Outbox,
} from "../../test/support/echo-service.ts";
import { LoopbackSession } from "../../test/support/loopback-http3.ts";
import { settled } from "../../test/support/manual-platform.ts";
import { RpcPair, testPeer } from "../../test/support/rpc-pair.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { deferred } from "../base/deferred.ts";
import { nodePlatform } from "../base/node-platform.ts";
import type { H3Error } from "../http3/h3-error.ts";
import { H3 } from "../http3/h3-error.ts";
import { callComplete } from "./call-scope.ts";
import { callerName, type Peer, peerKey } from "./caller.ts";
import { type FieldSection, parseStatus } from "./fields.ts";
import type { ReceiveBudget } from "./receive-budget.ts";
import { ServedConnection } from "./served-connection.ts";

stayAlive();

const protocols = ["connect", "grpc", "grpc-web"] as const;

function is(code: Code, message: RegExp = /./): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ConnectError, `not a ConnectError: ${error}`);
    assert.equal(Code[error.code], Code[code], error.message);
    assert.match(error.rawMessage, message);
    return true;
  };
}

for (const protocol of protocols) {
  describe(`serving ${protocol}`, () => {
    test("F17: after success the signal of every kind of handler fires with callComplete", async () => {
      const reasons: Promise<unknown>[] = [];
      const pair = new RpcPair({ protocol }).serve(EchoService, {
        echo: (_request, { signal }) => {
          reasons.push(aborted(signal));
          return {};
        },
        async *repeat(_request, { signal }) {
          reasons.push(aborted(signal));
          yield {};
        },
        collect: async (_requests, { signal }) => {
          reasons.push(aborted(signal));
          return {};
        },
        async *converse(_requests, { signal }) {
          reasons.push(aborted(signal));
          yield {};
        },
      });
      const client = createClient(EchoService, pair.transport);
      await client.echo({});
      for await (const _ of client.repeat({})) {
        // To the end.
      }
      await client.collect(none());
      for await (const _ of client.converse(none())) {
        // To the end.
      }
      assert.equal(reasons.length, 4);
      for (const reason of reasons) {
        assert.equal(await reason, callComplete);
      }
    });

    test("F17: after a failure of the handler the signal fires with what it threw", async () => {
      const thrown = new ConnectError("no such thing", Code.NotFound);
      const reason = deferred<unknown>();
      const pair = new RpcPair({ protocol }).serve(EchoService, {
        echo: (_request, { signal }) => {
          void aborted(signal).then(reason.resolve);
          throw thrown;
        },
      });
      await assert.rejects(
        createClient(EchoService, pair.transport).echo({}),
        is(Code.NotFound, /no such thing/),
      );
      assert.equal(await reason.promise, thrown);
    });

    test("F16: the signal fires at once when the caller is gone, while the generator waits on something else", async () => {
      const log: string[] = [];
      const reason = deferred<unknown>();
      const other = deferred<void>();
      const ended = deferred<void>();
      const pair = new RpcPair({ protocol }).serve(EchoService, {
        async *repeat(_request, { signal }) {
          try {
            signal.addEventListener("abort", () => {
              log.push("signal");
              reason.resolve(signal.reason);
            });
            yield { number: 1 };
            await other.promise;
            log.push("resumed");
            yield { number: 2 };
            log.push("went on");
          } finally {
            log.push("finally");
            ended.resolve();
          }
        },
      });
      const abort = new AbortController();
      const answers = createClient(EchoService, pair.transport)
        .repeat({}, { signal: abort.signal })
        [Symbol.asyncIterator]();
      await answers.next();
      const next = answers.next();
      abort.abort();
      await assert.rejects(next, is(Code.Canceled));
      assert.ok(is(Code.Canceled)(await reason.promise));
      assert.deepEqual(log, ["signal"]);
      other.resolve();
      await ended.promise;
      assert.deepEqual(log, ["signal", "resumed", "finally"]);
      await settled();
      assert.equal(pair.session.activeRequests, 0);
      assert.deepEqual(pair.reports, []);
    });

    test("F17: a lost connection is not a cancelled call", async () => {
      const reason = deferred<unknown>();
      const pair = new RpcPair({ protocol }).serve(EchoService, {
        echo: async (_request, { signal }) => {
          reason.resolve(await aborted(signal));
          return {};
        },
      });
      const answer = createClient(EchoService, pair.transport).echo({});
      await settled();
      pair.session.lose();
      await assert.rejects(answer, is(Code.Unavailable));
      assert.ok(
        is(Code.Unavailable, /^connection to caller 5e5e5e5e5e lost/)(await reason.promise),
      );
    });

    test("a caller that leaves in the middle of its requests is seen by the handler that reads them", async () => {
      const failure = deferred<unknown>();
      const pair = new RpcPair({ protocol }).serve(EchoService, {
        collect: async (requests) => {
          try {
            for await (const _ of requests) {
              // To the end, which does not come.
            }
          } catch (error) {
            failure.resolve(error);
          }
          return {};
        },
      });
      const abort = new AbortController();
      const outbox = new Outbox();
      outbox.send("a");
      const answer = createClient(EchoService, pair.transport).collect(outbox, {
        signal: abort.signal,
      });
      await settled();
      abort.abort();
      await assert.rejects(answer, is(Code.Canceled));
      assert.ok(is(Code.Canceled)(await failure.promise));
    });

    test("F15: a handler that throws anything is answered as an internal error, and others go on", async () => {
      const pair = new RpcPair({ protocol }).serve(EchoService, {
        ...echoImplementation,
        echo: () => {
          throw new TypeError("secret");
        },
        // biome-ignore lint/correctness/useYield: it fails before it could.
        async *repeat() {
          throw new TypeError("secret");
        },
      });
      const client = createClient(EchoService, pair.transport);
      const internal = (error: unknown): boolean => {
        assert.doesNotMatch(String(error), /secret/);
        return is(Code.Internal, /^internal error$/)(error);
      };
      await assert.rejects(client.echo({}), internal);
      await assert.rejects(client.repeat({})[Symbol.asyncIterator]().next(), internal);
      assert.deepEqual((await client.collect(none())).messages, []);
      assert.equal(pair.session.activeRequests, 0);
    });

    test("a service that is not there answers Unimplemented", async () => {
      const pair = new RpcPair({ protocol });
      const client = createClient(EchoService, pair.transport);
      const unimplemented = is(Code.Unimplemented, /^no service echo\.v1\.EchoService here$/);
      await assert.rejects(client.echo({}), unimplemented);
      await assert.rejects(client.repeat({})[Symbol.asyncIterator]().next(), unimplemented);
      await assert.rejects(client.collect(none()), unimplemented);
      await settled();
      assert.equal(pair.session.activeRequests, 0);
    });

    test("a method that a newer service has answers Unimplemented", async () => {
      const pair = new RpcPair({ protocol });
      pair.routes.addMethod(EchoService.method.repeat, echoImplementation.repeat);
      await assert.rejects(
        createClient(EchoService, pair.transport).echo({}),
        is(Code.Unimplemented, /^service echo\.v1\.EchoService has no method Echo$/),
      );
    });

    test("a method that the implementation leaves out answers Unimplemented", async () => {
      const pair = new RpcPair({ protocol }).serve(EchoService, {});
      await assert.rejects(
        createClient(EchoService, pair.transport).echo({}),
        is(Code.Unimplemented),
      );
    });

    test("handlers and interceptors find their caller in the context", async () => {
      const seen: Peer[] = [];
      const pair = new RpcPair({
        protocol,
        router: {
          interceptors: [
            (next) => (request) => {
              seen.push(request.contextValues.get(peerKey));
              return next(request);
            },
          ],
        },
      }).serve(EchoService, {
        echo: (_request, { values }) => {
          seen.push(values.get(peerKey));
          return {};
        },
      });
      await createClient(EchoService, pair.transport).echo({});
      assert.deepEqual(seen, [testPeer, testPeer]);
    });

    for (const [what, authorize, message] of [
      ["no", () => false, /^5e5e5e5e5e may not call echo\.v1\.EchoService\//],
      ["no after a while", () => settled().then(() => false), /may not call/],
      ["nothing but an error", () => Promise.reject(new Error("database down")), /may not call/],
      [
        "why not",
        () => {
          throw new ConnectError("pay first", Code.PermissionDenied);
        },
        /^pay first$/,
      ],
    ] as const) {
      test(`a hook that says ${what} keeps the handler from running`, async () => {
        let ran = false;
        const pair = new RpcPair({ protocol, authorize }).serve(EchoService, {
          echo: () => {
            ran = true;
            return {};
          },
          collect: async () => {
            ran = true;
            return {};
          },
          async *converse() {
            ran = true;
            yield {};
          },
        });
        const client = createClient(EchoService, pair.transport);
        const denied = is(Code.PermissionDenied, message);
        await assert.rejects(client.echo({ message: "x" }), denied);
        await assert.rejects(client.collect(none()), denied);
        const outbox = new Outbox();
        outbox.send("x");
        await assert.rejects(client.converse(outbox)[Symbol.asyncIterator]().next(), denied);
        assert.equal(ran, false);
        await settled();
        assert.equal(pair.session.activeRequests, 0);
      });
    }

    test("a hook is told who wants to call what, the router's before the service's", async () => {
      const log: string[] = [];
      const pair = new RpcPair({
        protocol,
        authorize: (caller, method) => {
          log.push(`router ${callerName(caller)} ${method.name}`);
          return true;
        },
      }).serve(EchoService, echoImplementation, {
        authorize: (_peer, method) => {
          log.push(`service ${method.name}`);
          return method.name !== "Collect";
        },
      });
      const client = createClient(EchoService, pair.transport);
      await client.echo({});
      await assert.rejects(client.collect(none()), is(Code.PermissionDenied));
      assert.deepEqual(log, [
        "router 5e5e5e5e5e Echo",
        "service Echo",
        "router 5e5e5e5e5e Collect",
        "service Collect",
      ]);
    });

    test("a message above readMaxBytes is refused with ResourceExhausted", async () => {
      const pair = new RpcPair({ protocol, router: { readMaxBytes: 1_000 } }).serve(
        EchoService,
        echoImplementation,
      );
      await assert.rejects(
        createClient(EchoService, pair.transport).echo({ message: "x".repeat(2_000_000) }),
        is(Code.ResourceExhausted, /readMaxBytes 1000/),
      );
      await settled();
      assert.equal(pair.session.activeRequests, 0);
    });

    test("a handler that takes longer than the limit is ended, though it ignores its signal", async () => {
      const reason = deferred<unknown>();
      const pair = new RpcPair({ protocol, handlerTimeoutMs: 20 }).serve(EchoService, {
        echo: (_request, { signal }) => {
          void aborted(signal).then(reason.resolve);
          return new Promise(() => {});
        },
        async *repeat() {
          yield { number: 1 };
          await new Promise(() => {});
        },
      });
      const client = createClient(EchoService, pair.transport);
      const late = is(Code.DeadlineExceeded, /longer than 20 ms/);
      await assert.rejects(client.echo({}), late);
      assert.ok(late(await reason.promise));
      const answers = client.repeat({})[Symbol.asyncIterator]();
      assert.equal((await answers.next()).value?.number, 1);
      await assert.rejects(answers.next(), late);
    });
  });
}

test("a peer cannot run more handlers than the limit by cancelling its calls", async () => {
  const gate = deferred<void>();
  let running = 0;
  const pair = new RpcPair({ maxConcurrentCalls: 3 }).serve(EchoService, {
    echo: async () => {
      running += 1;
      await gate.promise;
      return {};
    },
  });
  const client = createClient(EchoService, pair.transport);
  for (let i = 0; i < 3; i++) {
    const abort = new AbortController();
    const answer = client.echo({}, { signal: abort.signal });
    await settled();
    abort.abort();
    await assert.rejects(answer, is(Code.Canceled));
  }
  assert.equal(running, 3);
  await assert.rejects(client.echo({}), is(Code.Unavailable));
  assert.equal(running, 3);
  gate.resolve();
  await settled();
  await client.echo({});
  assert.equal(running, 4);
});

test("a handler that goes on after its time is up counts until it ends", async () => {
  const gate = deferred<void>();
  const pair = new RpcPair({ maxConcurrentCalls: 1, handlerTimeoutMs: 20 }).serve(EchoService, {
    echo: async () => {
      await gate.promise;
      return {};
    },
  });
  const client = createClient(EchoService, pair.transport);
  await assert.rejects(client.echo({}), is(Code.DeadlineExceeded));
  await assert.rejects(client.echo({}), is(Code.Unavailable));
  gate.resolve();
  await settled();
  await client.echo({});
});

for (const protocol of protocols) {
  for (const way of ["short", "general"] as const) {
    test(`calls of one connection hold no more than the budget, and all end, with ${protocol} the ${way} way`, async () => {
      const receiveBudgetBytes = 1_000_000;
      const messageBytes = 300_000;
      const interceptors: Interceptor[] = way === "general" ? [(next) => next] : [];
      const pair = new RpcPair({ protocol, receiveBudgetBytes, router: { interceptors } });
      pair.serve(EchoService, {
        echo: ({ message }) => ({ message }),
        collect: async (requests) => {
          const messages: string[] = [];
          for await (const { message } of requests) {
            messages.push(message.slice(0, 1));
          }
          return { messages };
        },
      });
      const client = createClient(EchoService, pair.transport);
      const message = "x".repeat(messageBytes);
      await client.echo({ message: "" });
      const [served] = pair.served;
      assert.ok(served);
      const mostHeld = watchBudget(served.budget);
      await Promise.all([
        ...Array.from({ length: 10 }, () => client.echo({ message })),
        ...Array.from({ length: 5 }, () => client.collect(twice(message))),
      ]);
      assert.ok(mostHeld() > receiveBudgetBytes / 2, `${mostHeld()} bytes`);
      // Each has had its first piece before it was counted.
      const most = receiveBudgetBytes + messageBytes + 15 * 32_768;
      assert.ok(mostHeld() <= most, `${mostHeld()} bytes`);
      assert.equal(served.budget.heldBytes, 0);
    });
  }
}

// Those that go the short way, in which a message is held until its handler gets it.
for (const protocol of ["connect", "grpc"] as const) {
  test(`all of a message is counted as held, with ${protocol}`, async () => {
    const pair = new RpcPair({ protocol });
    pair.serve(EchoService, { echo: ({ message }) => ({ message: message.slice(0, 1) }) });
    const client = createClient(EchoService, pair.transport);
    await client.echo({ message: "" });
    const [served] = pair.served;
    assert.ok(served);
    const mostHeld = watchBudget(served.budget);
    const message = "x".repeat(100_000);
    await client.echo({ message });
    assert.ok(mostHeld() >= message.length, `${mostHeld()} bytes`);
    assert.equal(served.budget.heldBytes, 0);
  });
}

/** Tells the most that was ever held. */
function watchBudget(budget: ReceiveBudget): () => number {
  let most = 0;
  const open = budget.open.bind(budget);
  budget.open = (flow) => {
    const share = open(flow);
    const take = share.take.bind(share);
    share.take = (bytes) => {
      take(bytes);
      most = Math.max(most, budget.heldBytes);
    };
    return share;
  };
  return () => most;
}

async function* twice(message: string): AsyncGenerator<{ message: string }> {
  yield { message };
  yield { message };
}

test("a failure of a hook that is no ConnectError is reported, and not told to the caller", async () => {
  const pair = new RpcPair({ authorize: () => Promise.reject(new Error("database down")) }).serve(
    EchoService,
    echoImplementation,
  );
  await assert.rejects(createClient(EchoService, pair.transport).echo({}), (error) => {
    assert.doesNotMatch(String(error), /database/);
    return true;
  });
  assert.match(String(pair.reports), /database down/);
});

test("an unknown path comes back shortened, whatever it is", async () => {
  const pair = new RpcPair();
  const { status, body } = await exchange(pair, [
    [":method", "POST"],
    [":scheme", "https"],
    [":authority", "h"],
    [":path", `/${"x".repeat(10_000)}/y`],
    ["content-type", "application/proto"],
  ]);
  assert.equal(status, 404);
  assert.equal(body.length < 400, true);
  assert.match(body, /"code":"unimplemented"/);
});

test("a request without content type or with another one is answered with 415, another method with 405", async () => {
  const pair = new RpcPair().serve(EchoService, echoImplementation);
  const head = (method: string, type: string): FieldSection => [
    [":method", method],
    [":scheme", "https"],
    [":authority", "h"],
    [":path", "/echo.v1.EchoService/Echo"],
    ["content-type", type],
  ];
  assert.equal((await exchange(pair, head("POST", "text/html"))).status, 415);
  assert.equal((await exchange(pair, head("DELETE", "application/proto"))).status, 405);
  assert.deepEqual(pair.reports, []);
});

for (const [what, fields] of [
  ["has no path", [[":method", "CONNECT"]]],
  [
    "has an authority that is none",
    [
      [":method", "POST"],
      [":path", "/a"],
      [":authority", "a b"],
    ],
  ],
  [
    "has a field that is none",
    [
      [":method", "POST"],
      [":path", "/"],
      [":authority", "a"],
      ["ä ", "x"],
    ],
  ],
] as [string, FieldSection][]) {
  test(`a request that ${what} is answered with 400`, async () => {
    assert.equal((await exchange(new RpcPair(), fields)).status, 400);
  });
}

test("a request that announces 2 GiB is refused before anything is allocated for it", async () => {
  const pair = new RpcPair().serve(EchoService, echoImplementation);
  const before = process.memoryUsage().arrayBuffers;
  const { body } = await exchange(pair, [
    [":method", "POST"],
    [":scheme", "https"],
    [":authority", "h"],
    [":path", "/echo.v1.EchoService/Echo"],
    ["content-type", "application/proto"],
    ["content-length", String(2 ** 31)],
  ]);
  assert.match(body, /"code":"resource_exhausted"/);
  assert.ok(process.memoryUsage().arrayBuffers - before < 10_000_000);
});

test("a request that announces much and sends nothing holds no memory", async () => {
  const pair = new RpcPair().serve(EchoService, echoImplementation);
  const session = pair.open();
  const before = process.memoryUsage().arrayBuffers;
  const streams = Array.from({ length: 200 }, () =>
    session.request(
      [
        [":method", "POST"],
        [":scheme", "https"],
        [":authority", "h"],
        [":path", "/echo.v1.EchoService/Echo"],
        ["content-type", "application/proto"],
        ["content-length", "16000000"],
      ],
      silent,
    ),
  );
  await settled();
  assert.ok(process.memoryUsage().arrayBuffers - before < 10_000_000);
  for (const stream of streams) {
    stream.cancel(H3.REQUEST_CANCELLED);
  }
  await settled();
  assert.equal(session.activeRequests, 0);
});

test("a handler of Connect that breaks its contract resets the call, and is reported", async () => {
  const reports: unknown[] = [];
  const served = new ServedConnection({
    caller: testPeer,
    routes: {
      find: () => ({
        readMaxBytes: 1,
        handle: () => Promise.reject(new Error("broken")),
      }),
    },
    maxConcurrentCalls: 1,
    platform: nodePlatform,
    report: (error) => reports.push(error),
  });
  const session = new LoopbackSession({
    onRequest: (stream, fields) => served.onRequest(stream, fields),
  });
  const failure = deferred<H3Error>();
  session.request(
    [
      [":method", "POST"],
      [":authority", "h"],
      [":path", "/"],
    ],
    { ...silent, failed: failure.resolve },
  );
  assert.equal((await failure.promise).code, H3.INTERNAL_ERROR);
  assert.match(String(reports), /broken/);
  await settled();
  assert.equal(session.activeRequests, 0);
});

test("reading the peer of a call that has none says so", () => {
  assert.throws(() => peerKey.defaultValue.id, /did not come through a PeerRouter/);
  assert.throws(() => peerKey.defaultValue.connection, /did not come through a PeerRouter/);
});

/** Sends a request without content; the status and the text of the answer. */
async function exchange(
  pair: RpcPair,
  fields: FieldSection,
): Promise<{ readonly status: number | undefined; readonly body: string }> {
  const done = deferred<void>();
  let status: number | undefined;
  let body = "";
  const session = pair.open();
  session.request(
    fields,
    {
      ...silent,
      headers: (response) => {
        status = parseStatus(response);
      },
      data: (bytes) => {
        body += new TextDecoder().decode(bytes);
      },
      end: done.resolve,
      failed: done.reject,
    },
    { end: true },
  );
  await done.promise;
  await settled();
  assert.equal(session.activeRequests, 0);
  return { status, body };
}

const silent = {
  headers: (): void => {},
  informational: (): void => {},
  data: (): void => {},
  trailers: (): void => {},
  end: (): void => {},
  failed: (): void => {},
  writable: (): void => {},
  stopped: (): void => {},
};

async function* none(): AsyncGenerator<{ message: string }> {
  // No messages.
}
