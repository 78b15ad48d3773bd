import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { createEchoClient } from "../../gen/echo/v1/echo_quic.ts";
import { type Deferred, deferred } from "../../src/base/deferred.ts";
import { aborted, Outbox } from "../support/echo-service.ts";
import { Peers } from "../support/peers.ts";

async function scene(ended: Deferred<unknown>) {
  const peers = await Peers.start({
    implementation: {
      async *repeat(_request, { signal }) {
        yield { number: 1 };
        ended.resolve(await aborted(signal));
      },
      async *converse(_requests, { signal }) {
        yield { message: "1" };
        ended.resolve(await aborted(signal));
      },
    },
  });
  return { peers, client: createEchoClient(peers.client, peers.server.ticket()) };
}

const calls: Record<
  string,
  (client: ReturnType<typeof createEchoClient>) => AsyncIterable<unknown>
> = {
  "a server stream": (client) => client.repeat({}),
  "a conversation": (client) => client.converse(new Outbox()),
};

for (const [kind, call] of Object.entries(calls)) {
  test(`F16: leaving ${kind} of a generated client tells the handler, without the garbage collector`, async () => {
    const ended = deferred<unknown>();
    const { peers, client } = await scene(ended);
    await using _peers = peers;
    for await (const _ of call(client)) {
      break;
    }
    const reason = await ended.promise;
    assert.ok(reason instanceof ConnectError);
    assert.equal(reason.code, Code.Canceled);
    assert.deepEqual(peers.reports, []);
  });
}
