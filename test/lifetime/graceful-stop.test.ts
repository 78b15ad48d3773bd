import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { createEchoClient, registerEchoService } from "../../gen/echo/v1/echo_quic.ts";
import { deferred } from "../../src/base/deferred.ts";
import { createPeerRouter, Endpoint, type PeerRouter } from "../../src/index.ts";

type EchoClient = ReturnType<typeof createEchoClient>;

interface Scene extends AsyncDisposable {
  readonly router: PeerRouter;
  readonly caller: Endpoint;
  readonly client: EchoClient;
  /** Resolves when a handler has begun. */
  readonly begun: Promise<void>;
  /** Lets the handlers answer. */
  answer(): void;
}

async function scene(): Promise<Scene> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const caller = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const router = createPeerRouter(endpoint);
  const begun = deferred<void>();
  const gate = deferred<void>();
  registerEchoService(router, {
    echo: async ({ message }) => {
      begun.resolve();
      await gate.promise;
      return { message };
    },
  });
  return {
    router,
    caller,
    client: createEchoClient(caller, endpoint.ticket()),
    begun: begun.promise,
    answer: gate.resolve,
    [Symbol.asyncDispose]: async () => {
      await Promise.all([endpoint.close({ timeoutMs: 0 }), caller.close({ timeoutMs: 0 })]);
    },
  };
}

const codeOf = (call: Promise<unknown>): Promise<Code> =>
  call.then(
    () => assert.fail("the call succeeded"),
    (error: unknown) => ConnectError.from(error).code,
  );

test("F6: a router that closes lets running calls finish with their answer and takes no new ones", async () => {
  await using stage = await scene();
  const running = stage.client.echo({ message: "running" });
  await stage.begun;
  const closed = stage.router.close({ graceMs: 60_000 });
  assert.equal(
    await codeOf(stage.client.echo({ message: "late" }, { timeoutMs: 2_000 })),
    Code.Unavailable,
  );
  stage.answer();
  assert.equal((await running).message, "running");
  await closed;
  await stage.router.closed;
});

test("F6: a router that closes gives up on calls that do not end in time", async () => {
  await using stage = await scene();
  const code = codeOf(stage.client.echo({ message: "hanging" }));
  await stage.begun;
  await stage.router.close({ graceMs: 100 });
  assert.equal(await code, Code.Unavailable);
});

test("F6: a router that closes does not wait for callers that have vanished", async () => {
  await using stage = await scene();
  const code = codeOf(stage.client.echo({ message: "hanging" }));
  await stage.begun;
  await stage.caller.close({ timeoutMs: 0 });
  assert.equal(await code, Code.Canceled);
  await stage.router.close({ graceMs: 60_000 });
});
