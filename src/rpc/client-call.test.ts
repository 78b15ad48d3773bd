import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import {
  aborted,
  EchoService,
  echoImplementation,
  Outbox,
} from "../../test/support/echo-service.ts";
import { connectionLost, LoopbackSession } from "../../test/support/loopback-http3.ts";
import { ManualPlatform, settled } from "../../test/support/manual-platform.ts";
import { RpcPair, type RpcPairOptions, testPeer } from "../../test/support/rpc-pair.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { deferred } from "../base/deferred.ts";
import { nodePlatform } from "../base/node-platform.ts";
import { EndpointError } from "../endpoint/endpoint-error.ts";
import { H3, H3Error } from "../http3/h3-error.ts";
import type { MessageHandler, RequestStream } from "../http3/request-stream.ts";
import type { FieldSection } from "./fields.ts";
import { ServedConnection } from "./served-connection.ts";

stayAlive();

const protocols = ["connect", "grpc", "grpc-web"] as const;

function echoPair(options?: RpcPairOptions): RpcPair {
  return new RpcPair(options).serve(EchoService, echoImplementation);
}

function is(code: Code, message: RegExp = /./): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof ConnectError, `not a ConnectError: ${error}`);
    assert.equal(Code[error.code], Code[code], error.message);
    assert.match(error.rawMessage, message);
    return true;
  };
}

/** All calls are over, on both sides, and nothing is left of them. */
async function assertQuiet(pair: RpcPair): Promise<void> {
  await settled();
  assert.equal(pair.calls.size, 0);
  assert.equal(pair.held, 0);
  for (const session of pair.sessions) {
    assert.equal(session.activeRequests, 0);
  }
  assert.deepEqual(pair.reports, []);
}

for (const protocol of protocols) {
  describe(`calls with ${protocol}`, () => {
    test("F11: the first answer is there before the caller has sent its second message", async () => {
      const pair = echoPair({ protocol });
      const outbox = new Outbox();
      const answers = createClient(EchoService, pair.transport)
        .converse(outbox)
        [Symbol.asyncIterator]();
      for (const message of ["a", "b", "c"]) {
        outbox.send(message);
        assert.equal((await answers.next()).value?.message, message);
      }
      outbox.finish();
      assert.equal((await answers.next()).done, true);
      await assertQuiet(pair);
    });

    test("F16: after an abort in the loop body no further message is delivered", async () => {
      const pair = echoPair({ protocol });
      const abort = new AbortController();
      const numbers: number[] = [];
      await assert.rejects(async () => {
        const answers = createClient(EchoService, pair.transport).repeat(
          { message: "x", count: 50 },
          { signal: abort.signal },
        );
        for await (const { number } of answers) {
          // By now the other ones have arrived.
          await settled();
          numbers.push(number);
          if (number === 3) {
            abort.abort();
          }
        }
      }, is(Code.Canceled));
      assert.deepEqual(numbers, [1, 2, 3]);
      await assertQuiet(pair);
    });

    test("a call that is cancelled before it began does not even dial", async () => {
      const pair = echoPair({ protocol });
      await assert.rejects(
        createClient(EchoService, pair.transport).echo(
          { message: "x" },
          { signal: AbortSignal.abort() },
        ),
        is(Code.Canceled),
      );
      assert.equal(pair.channel.state, "idle");
      await assertQuiet(pair);
    });

    test("a call that is cancelled while the handler works fails at once, and the handler hears of it", async () => {
      const fired = deferred<unknown>();
      const started = deferred<void>();
      const pair = new RpcPair({ protocol }).serve(EchoService, {
        echo: async (_request, { signal }) => {
          started.resolve();
          fired.resolve(await aborted(signal));
          return {};
        },
      });
      const abort = new AbortController();
      const answer = createClient(EchoService, pair.transport).echo(
        { message: "x" },
        { signal: abort.signal },
      );
      await started.promise;
      abort.abort();
      await assert.rejects(answer, is(Code.Canceled));
      assert.ok(is(Code.Canceled, /cancelled the call/)(await fired.promise));
      await assertQuiet(pair);
    });

    test("a call whose deadline passes fails, and the handler can tell", async () => {
      const fired = deferred<unknown>();
      const pair = new RpcPair({ protocol }).serve(EchoService, {
        echo: async (_request, { signal }) => {
          fired.resolve(await aborted(signal));
          // Which of both sides is first is a matter of time.
          throw signal.reason;
        },
      });
      await assert.rejects(
        createClient(EchoService, pair.transport).echo({ message: "x" }, { timeoutMs: 20 }),
        is(Code.DeadlineExceeded),
      );
      assert.ok(is(Code.DeadlineExceeded)(await fired.promise));
      await assertQuiet(pair);
    });

    test("a connection that is lost before the answer ends the call with Unavailable and its cause", async () => {
      const started = deferred<void>();
      const pair = new RpcPair({ protocol }).serve(EchoService, {
        echo: async (_request, { signal }) => {
          started.resolve();
          await aborted(signal);
          return {};
        },
      });
      const answer = createClient(EchoService, pair.transport).echo({ message: "x" });
      await started.promise;
      pair.session.lose();
      await assert.rejects(answer, (error) => {
        assert.ok(is(Code.Unavailable, /^connection to c1c1c1c1c1 lost/)(error));
        assert.equal((error as ConnectError).cause, connectionLost);
        return true;
      });
      await assertQuiet(pair);
    });

    test("F3: a connection that is lost in the middle of a stream ends it, after what had come", async () => {
      const pair = new RpcPair({ protocol }).serve(EchoService, {
        async *repeat(_request, { signal }) {
          yield { number: 1 };
          await aborted(signal);
        },
      });
      const answers = createClient(EchoService, pair.transport)
        .repeat({ message: "x", count: 9 })
        [Symbol.asyncIterator]();
      assert.equal((await answers.next()).value?.number, 1);
      const next = answers.next();
      await settled();
      pair.session.lose();
      await assert.rejects(next, is(Code.Unavailable));
      await assertQuiet(pair);
    });

    test("a caller whose request stream throws cancels the call", async () => {
      const fired = deferred<unknown>();
      const pair = new RpcPair({ protocol }).serve(EchoService, {
        collect: async (_requests, { signal }) => {
          fired.resolve(await aborted(signal));
          return {};
        },
      });
      const requests = (async function* (): AsyncGenerator<{ message: string }> {
        yield { message: "a" };
        throw new Error("out of messages");
      })();
      await assert.rejects(
        createClient(EchoService, pair.transport).collect(requests),
        is(Code.Internal, /out of messages/),
      );
      assert.ok(is(Code.Canceled)(await fired.promise));
      await assertQuiet(pair);
    });

    test("an answer that comes before the request is complete is taken, and the request's stream is left", async () => {
      const pair = new RpcPair({ protocol }).serve(EchoService, {
        collect: async (requests) => {
          for await (const { message } of requests) {
            return { messages: [message] };
          }
          return {};
        },
      });
      const outbox = new Outbox();
      outbox.send("a");
      const answer = await createClient(EchoService, pair.transport).collect(outbox);
      assert.deepEqual(answer.messages, ["a"]);
      await outbox.left.promise;
      await assertQuiet(pair);
    });

    test("a dial that fails ends the call with Unavailable, the peer's short id and the cause", async () => {
      const cause = new EndpointError("dial-timeout", "cannot connect to c1c1c1c1c1: no answer");
      const pair = new RpcPair({ protocol, dial: () => Promise.reject(cause) });
      await assert.rejects(
        createClient(EchoService, pair.transport).echo({ message: "x" }),
        (error) => {
          assert.ok(is(Code.Unavailable, /c1c1c1c1c1/)(error));
          assert.equal((error as ConnectError).cause, cause);
          return true;
        },
      );
      await assertQuiet(pair);
    });

    test("a peer that cannot prove the dialed key ends the call with Unauthenticated", async () => {
      const pair = new RpcPair({
        protocol,
        dial: () => Promise.reject(new EndpointError("wrong-key", "the peer has another key")),
      });
      await assert.rejects(
        createClient(EchoService, pair.transport).echo({ message: "x" }),
        is(Code.Unauthenticated),
      );
    });
  });
}

test("the error of each call is its own, also when several fail for one reason", async () => {
  const pair = new RpcPair({
    dial: () => Promise.reject(new EndpointError("dial-timeout", "no answer")),
  });
  const client = createClient(EchoService, pair.transport);
  const [first, second] = await Promise.allSettled([client.echo({}), client.echo({})]);
  assert.ok(first.status === "rejected" && second.status === "rejected");
  assert.notEqual(first.reason, second.reason);
});

test("a call that is cancelled while it waits for a connection fails at once", async () => {
  const pair = new RpcPair({ dial: () => new Promise(() => {}) });
  const abort = new AbortController();
  const answer = createClient(EchoService, pair.transport).echo({}, { signal: abort.signal });
  await settled();
  assert.equal(pair.held, 1);
  abort.abort();
  await assert.rejects(answer, is(Code.Canceled));
  await assertQuiet(pair);
});

test("the time that a call waits for a connection counts against its deadline at the peer", async () => {
  const platform = new ManualPlatform();
  const dialed = deferred<LoopbackSession>();
  const pair: RpcPair = echoPair({ platform, dial: () => dialed.promise });
  const client = createClient(EchoService, pair.transport);
  const answer = client.echo({ message: "x" }, { timeoutMs: 5_000 });
  await settled();
  platform.advance(1_200);
  dialed.resolve(pair.open());
  await answer;
  assert.equal(field(pair.session.requests[0], "connect-timeout-ms"), "3800");
  await client.echo({ message: "x" }, { timeoutMs: 5_000 });
  assert.equal(field(pair.session.requests[1], "connect-timeout-ms"), "5000");
});

const rejected = new H3Error(H3.REQUEST_REJECTED, "request rejected", {
  scope: "stream",
  origin: "peer",
  unprocessed: true,
});

test("F18: a request that the peer refused before processing is sent once more", async () => {
  const pair = echoPair();
  const client = createClient(EchoService, pair.transport);
  await client.echo({ message: "first" });
  pair.session.refusals.push(rejected);
  assert.equal((await client.echo({ message: "again" })).message, "again");
  assert.equal(pair.session.requests.length, 3);
  await assertQuiet(pair);
});

test("F18: a request that is refused before the news that the peer goes away is sent to the next connection", async () => {
  const platform = new ManualPlatform();
  const pair = echoPair({ platform });
  const client = createClient(EchoService, pair.transport);
  await client.echo({ message: "first" });
  const [old] = pair.sessions;
  old?.refusals.push(rejected);
  const answer = client.echo({ message: "moved" });
  await settled();
  assert.equal(platform.timers, 1);
  old?.goAway();
  platform.advance(20);
  assert.equal((await answer).message, "moved");
  assert.equal(pair.sessions.length, 2);
  assert.equal(platform.timers, 0);
  await assertQuiet(pair);
});

test("F27: a call that is cancelled before it is sent again leaves no timer behind", async () => {
  const platform = new ManualPlatform();
  const pair = echoPair({ platform });
  const client = createClient(EchoService, pair.transport);
  await client.echo({ message: "first" });
  pair.session.refusals.push(rejected);
  const abort = new AbortController();
  const answer = client.echo({}, { signal: abort.signal });
  await settled();
  abort.abort();
  await assert.rejects(answer, is(Code.Canceled));
  assert.equal(platform.timers, 0);
  await assertQuiet(pair);
});

/** The first request is refused as QUIC may bring it: STOP_SENDING first, `after` that something else. */
function refusingPair(after: (stream: RequestStream) => void): RpcPair {
  const pair: RpcPair = new RpcPair({
    dial: (events) => {
      const served = new ServedConnection({
        caller: testPeer,
        routes: pair.routes,
        maxConcurrentCalls: 1,
        platform: nodePlatform,
        report: assert.ifError,
      });
      let requests = 0;
      return Promise.resolve(
        new LoopbackSession({
          events,
          onRequest: (stream, fields) => {
            requests += 1;
            return requests > 1 ? served.onRequest(stream, fields) : refuse(stream, after);
          },
        }),
      );
    },
  });
  return pair.serve(EchoService, echoImplementation);
}

function refuse(stream: RequestStream, after: (stream: RequestStream) => void): MessageHandler {
  return {
    headers: () => {
      stream.stopReceiving(H3.REQUEST_REJECTED);
      setImmediate(() => setImmediate(() => after(stream)));
    },
    informational: () => {},
    data: () => {},
    trailers: () => {},
    end: () => {},
    failed: () => {},
    writable: () => {},
    stopped: () => {},
  };
}

describe("F18: a request that is refused by STOP_SENDING before the reset", () => {
  const reset = (stream: RequestStream): void => stream.cancel(H3.REQUEST_REJECTED);

  test("is sent once more, with all of its stream", async () => {
    const pair = refusingPair(reset);
    const outbox = new Outbox();
    outbox.send("a");
    const answer = createClient(EchoService, pair.transport).collect(outbox);
    await settled();
    outbox.send("b");
    outbox.finish();
    assert.deepEqual((await answer).messages, ["a", "b"]);
    assert.equal(pair.session.requests.length, 2);
    await assertQuiet(pair);
  });

  for (const length of [10, 100_000]) {
    test(`is sent once more when it is a message of ${length} bytes`, async () => {
      const pair = refusingPair(reset);
      const message = "x".repeat(length);
      assert.equal(
        (await createClient(EchoService, pair.transport).echo({ message })).message,
        message,
      );
      assert.equal(pair.session.requests.length, 2);
      await assertQuiet(pair);
    });
  }

  test("lets go of its stream when an answer comes instead", async () => {
    const pair = refusingPair((stream) => {
      stream.sendHeaders([[":status", "503"]], { end: true });
    });
    const outbox = new Outbox();
    outbox.send("a");
    const answer = createClient(EchoService, pair.transport).collect(outbox);
    await assert.rejects(answer, is(Code.Unavailable));
    await outbox.left.promise;
    assert.equal(pair.session.requests.length, 1);
    await assertQuiet(pair);
  });
});

test("F18: a request that is refused twice fails with Unavailable", async () => {
  const pair = echoPair();
  const client = createClient(EchoService, pair.transport);
  await client.echo({ message: "first" });
  pair.session.refusals.push(rejected, rejected);
  await assert.rejects(client.echo({ message: "x" }), is(Code.Unavailable));
  assert.equal(pair.session.requests.length, 3);
  await assertQuiet(pair);
});

test("F18: what may have been processed is not sent again", async () => {
  const pair = echoPair();
  const client = createClient(EchoService, pair.transport);
  await client.echo({ message: "first" });
  pair.session.refusals.push(connectionLost);
  await assert.rejects(client.echo({ message: "x" }), is(Code.Unavailable));
  assert.equal(pair.session.requests.length, 2);
  await assertQuiet(pair);
});

test("F18: a request above the last one of a GOAWAY goes to a new connection", async () => {
  const pair = echoPair();
  const client = createClient(EchoService, pair.transport);
  await client.echo({ message: "first" });
  const [old] = pair.sessions;
  old?.refusals.push(rejected);
  const answer = client.echo({ message: "moved" });
  old?.goAway();
  assert.equal((await answer).message, "moved");
  assert.equal(pair.sessions.length, 2);
  await assertQuiet(pair);
});

test("F9: a stream of which more than the kept part was sent is not sent again", async () => {
  const refused = deferred<void>();
  let session: LoopbackSession | undefined;
  const pair: RpcPair = new RpcPair({
    window: 10_000_000,
    dial: (events) => {
      session = new LoopbackSession({
        window: 10_000_000,
        events,
        onRequest: (stream) => ({
          headers: () => void refused.promise.then(() => stream.cancel(H3.REQUEST_REJECTED)),
          informational: () => {},
          data: () => {},
          trailers: () => {},
          end: () => {},
          failed: () => {},
          writable: () => {},
          stopped: () => {},
        }),
      });
      return Promise.resolve(session);
    },
  });
  const requests = (async function* () {
    for (let i = 0; i < 100; i++) {
      yield { message: "x".repeat(1_000) };
    }
    refused.resolve();
    await new Promise(() => {});
  })();
  await assert.rejects(
    createClient(EchoService, pair.transport).collect(requests),
    is(Code.Unavailable),
  );
  assert.equal(session?.requests.length, 1);
});

test("F9: a stream of which little was sent goes on over a new connection, complete", async () => {
  const pair = echoPair();
  const client = createClient(EchoService, pair.transport);
  await client.echo({ message: "first" });
  pair.session.refusals.push(rejected);
  const outbox = new Outbox();
  outbox.send("a");
  const answer = client.collect(outbox);
  await settled();
  outbox.send("b");
  outbox.finish();
  assert.deepEqual((await answer).messages, ["a", "b"]);
  await assertQuiet(pair);
});

test("F27: one signal for two thousand calls collects no listeners and draws no warning", async () => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => {
    warnings.push(warning);
  };
  process.on("warning", onWarning);
  const pair = echoPair();
  const client = createClient(EchoService, pair.transport);
  const { signal } = new AbortController();
  for (let i = 0; i < 40; i++) {
    await Promise.all(Array.from({ length: 50 }, () => client.echo({ message: "x" }, { signal })));
  }
  await settled();
  process.off("warning", onWarning);
  assert.deepEqual(warnings, []);
  assert.equal(getEventListeners(signal, "abort").length, 0);
  await assertQuiet(pair);
});

test("F7: a reader that takes its time stops the handler, whatever it has to say", async () => {
  const pair = new RpcPair().serve(EchoService, {
    async *repeat() {
      for (let number = 1; number <= 500; number++) {
        yielded = number;
        yield { message: "x".repeat(10_000), number };
      }
    },
  });
  let yielded = 0;
  let read = 0;
  for await (const { number } of createClient(EchoService, pair.transport).repeat({})) {
    read += 1;
    assert.equal(number, read);
    if (read % 100 === 1) {
      await settled();
      // Two windows of 64 KiB and what the pipelines of both sides hold.
      assert.ok((yielded - read) * 10_000 < 300_000, `${yielded - read} ahead`);
    }
  }
  assert.equal(read, 500);
  await assertQuiet(pair);
});

test("F7: a handler that takes its time stops the caller's stream", async () => {
  let sent = 0;
  const gate = deferred<void>();
  const pair = new RpcPair().serve(EchoService, {
    async collect(requests) {
      await gate.promise;
      let count = 0;
      for await (const _ of requests) {
        count += 1;
      }
      return { messages: [String(count)] };
    },
  });
  const requests = (async function* () {
    for (; sent < 500; sent++) {
      yield { message: "x".repeat(10_000) };
    }
  })();
  const answer = createClient(EchoService, pair.transport).collect(requests);
  await settled();
  await settled();
  assert.ok(sent * 10_000 < 300_000, `${sent} sent`);
  gate.resolve();
  assert.deepEqual((await answer).messages, ["500"]);
  await assertQuiet(pair);
});

test("F10: a call whose reader stopped does not stall others", async () => {
  const pair = echoPair();
  const client = createClient(EchoService, pair.transport);
  const abort = new AbortController();
  const stalled = client
    .repeat({ message: "x".repeat(1_000), count: 100_000 }, { signal: abort.signal })
    [Symbol.asyncIterator]();
  await stalled.next();
  for (let i = 0; i < 100; i++) {
    assert.equal((await client.echo({ message: String(i) })).message, String(i));
  }
  abort.abort();
  await assert.rejects(stalled.next(), is(Code.Canceled));
  await assertQuiet(pair);
});

test("a stream that is left with break is cancelled once it is garbage", async () => {
  const fired = deferred<unknown>();
  const pair = new RpcPair().serve(EchoService, {
    async *repeat(_request, { signal }) {
      void aborted(signal).then(fired.resolve);
      for (;;) {
        yield { message: "x".repeat(10_000) };
      }
    },
  });
  const leave = async (): Promise<void> => {
    for await (const _ of createClient(EchoService, pair.transport).repeat({})) {
      break;
    }
  };
  await leave();
  setFlagsFromString("--expose-gc");
  const collectGarbage: () => void = runInNewContext("gc");
  const cancelled = fired.promise.then(() => true);
  while (!(await Promise.race([cancelled, settled()]))) {
    collectGarbage();
  }
  assert.ok(is(Code.Canceled)(await fired.promise));
  await assertQuiet(pair);
});

const malformedHeads: readonly [what: string, fields: FieldSection][] = [
  ["no status", [["content-type", "application/proto"]]],
  ["a status that is none", [[":status", "ok"]]],
  [
    "a field that is none",
    [
      [":status", "200"],
      ["a b", "c"],
    ],
  ],
];
for (const [what, fields] of malformedHeads) {
  test(`an answer with ${what} ends the call with Internal`, async () => {
    const pair = new RpcPair({ dial: () => Promise.resolve(answering(fields)) });
    await assert.rejects(
      createClient(EchoService, pair.transport).echo({}),
      is(Code.Internal, /malformed response/),
    );
    await assertQuiet(pair);
  });
}

/** A peer that answers every request with a header section of the test's. */
function answering(fields: FieldSection): LoopbackSession {
  return new LoopbackSession({
    onRequest: (stream) => ({
      headers: () => stream.sendHeaders(fields),
      informational: () => {},
      data: () => {},
      trailers: () => {},
      end: () => {},
      failed: () => {},
      writable: () => {},
      stopped: () => {},
    }),
  });
}

function field(fields: FieldSection | undefined, wanted: string): string | undefined {
  return fields?.find(([name]) => name === wanted)?.[1];
}
