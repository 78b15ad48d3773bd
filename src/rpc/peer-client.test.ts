import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, test } from "node:test";
import { type CallOptions, type Client, Code, ConnectError } from "@connectrpc/connect";
import { EchoService, echoImplementation, Outbox } from "../../test/support/echo-service.ts";
import { settled } from "../../test/support/manual-platform.ts";
import { RpcPair } from "../../test/support/rpc-pair.ts";
import { stayAlive } from "../../test/support/stay-alive.ts";
import { deferred } from "../base/deferred.ts";
import { createPeerClient } from "./peer-client.ts";

stayAlive();

const protocols = ["connect", "grpc", "grpc-web"] as const;

/** Whose handlers of streams say something once and then wait for their end; `ended` is the reason of that. */
function waitingPair(protocol: (typeof protocols)[number]) {
  const ended = deferred<unknown>();
  const untilEnd = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      signal.addEventListener("abort", () => {
        ended.resolve(signal.reason);
        resolve();
      });
    });
  const pair = new RpcPair({ protocol }).serve(EchoService, {
    ...echoImplementation,
    async *repeat(_request, { signal }) {
      yield { number: 1 };
      await untilEnd(signal);
    },
    async *converse(_requests, { signal }) {
      yield { message: "1" };
      await untilEnd(signal);
    },
  });
  return { pair, client: createPeerClient(EchoService, pair.transport), ended: ended.promise };
}

async function assertQuiet(pair: RpcPair): Promise<void> {
  await settled();
  assert.equal(pair.calls.size, 0);
  assert.equal(pair.held, 0);
  assert.equal(pair.session.activeRequests, 0);
  assert.deepEqual(pair.reports, []);
}

const isCanceled = (error: unknown): boolean =>
  error instanceof ConnectError && error.code === Code.Canceled;

type Echo = Client<typeof EchoService>;
const ways: Record<string, (client: Echo, options?: CallOptions) => AsyncIterable<unknown>> = {
  "server streaming": (client, options) => client.repeat({}, options),
  "bidirectional streaming": (client, options) => client.converse(new Outbox(), options),
};

for (const protocol of protocols) {
  for (const [kind, call] of Object.entries(ways)) {
    describe(`a call of a generated client, ${kind} with ${protocol}`, () => {
      test("F16: ends at once when its loop is left with break", async () => {
        const { pair, client, ended } = waitingPair(protocol);
        for await (const _ of call(client)) {
          break;
        }
        assert.ok(isCanceled(await ended));
        await assertQuiet(pair);
      });

      test("ends at once when its loop throws, which the caller gets", async () => {
        const { pair, client, ended } = waitingPair(protocol);
        const loop = async (): Promise<void> => {
          for await (const _ of call(client)) {
            throw new Error("mine");
          }
        };
        await assert.rejects(loop(), /mine/);
        assert.ok(isCanceled(await ended));
        await assertQuiet(pair);
      });

      test("ends when it is left while a response is waited for", async () => {
        const { pair, client, ended } = waitingPair(protocol);
        const responses = call(client)[Symbol.asyncIterator]();
        await responses.next();
        const pending = assert.rejects(responses.next(), isCanceled);
        assert.equal((await responses.return?.())?.done, true);
        await pending;
        assert.equal((await responses.next()).done, true);
        assert.ok(isCanceled(await ended));
        await assertQuiet(pair);
      });

      test("ends when it is left before the first response was asked for", async () => {
        const { pair, client } = waitingPair(protocol);
        const responses = call(client)[Symbol.asyncIterator]();
        await responses.return?.();
        await assertQuiet(pair);
      });

      test("F16: ends with the caller's signal, which keeps no listener", async () => {
        const { pair, client, ended } = waitingPair(protocol);
        const abort = new AbortController();
        await assert.rejects(async () => {
          for await (const _ of call(client, { signal: abort.signal })) {
            abort.abort();
          }
        }, isCanceled);
        assert.ok(isCanceled(await ended));
        assert.equal(getEventListeners(abort.signal, "abort").length, 0);
        await assertQuiet(pair);
      });
    });
  }

  test(`a generated client with ${protocol} is Connect's in all else`, async () => {
    const { pair, client } = waitingPair(protocol);
    pair.serve(EchoService, echoImplementation);
    const { signal } = new AbortController();
    const numbers: number[] = [];
    let header: Headers | undefined;
    let trailer: Headers | undefined;
    const options = {
      signal,
      onHeader: (headers: Headers) => {
        header = headers;
      },
      onTrailer: (headers: Headers) => {
        trailer = headers;
      },
    };
    for await (const { number } of client.repeat({ count: 3 }, options)) {
      numbers.push(number);
    }
    assert.deepEqual(numbers, [1, 2, 3]);
    assert.ok(header !== undefined && trailer !== undefined);
    assert.equal((await client.echo({ message: "x" }, { signal })).message, "x");
    const outbox = new Outbox();
    outbox.send("a");
    outbox.finish();
    assert.deepEqual((await client.collect(outbox, { signal })).messages, ["a"]);
    await assert.rejects(async () => {
      for await (const _ of client.repeat({ count: 3 }, { signal: AbortSignal.abort() })) {
        assert.fail("got a response");
      }
    }, isCanceled);
    assert.equal(getEventListeners(signal, "abort").length, 0);
    await assertQuiet(pair);
  });
}
