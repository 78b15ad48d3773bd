// Calls from the side that was dialed to the side that dialed, on the same connection.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, createClient } from "@connectrpc/connect";
import { deferred } from "../../src/base/deferred.ts";
import { type Peer, peerKey } from "../../src/index.ts";
import { aborted, EchoService, type echoImplementation, Outbox } from "../support/echo-service.ts";
import { hasCode } from "../support/expect-code.ts";
import { HubLab } from "../support/hub-and-device.ts";

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) {
    all.push(item);
  }
  return all;
}

async function* messages(...texts: string[]): AsyncGenerator<{ message: string }> {
  for (const message of texts) {
    yield { message };
  }
}

describe("the side that was dialed", () => {
  for (const protocol of ["connect", "grpc", "grpc-web"] as const) {
    test(`calls all four kinds of methods (${protocol})`, async () => {
      await HubLab.run({}, async (lab) => {
        const device = await lab.device();
        const peer = await lab.peerOf(device);
        const echo = createClient(EchoService, peer.transport({ protocol }));
        assert.equal((await echo.echo({ message: "x" })).message, "x");
        const repeated = await collect(echo.repeat({ message: "x", count: 3 }));
        assert.deepEqual(
          repeated.map(({ number }) => number),
          [1, 2, 3],
        );
        const { messages: collected } = await echo.collect(messages("a", "b"));
        assert.deepEqual(collected, ["a", "b"]);
        const outbox = new Outbox();
        const echoes = echo.converse(outbox)[Symbol.asyncIterator]();
        for (const text of ["one", "two"]) {
          outbox.send(text);
          assert.equal((await echoes.next()).value?.message, text);
        }
        outbox.finish();
        assert.equal((await echoes.next()).done, true);
        assert.equal(lab.hub.endpoint.connections.size, 1);
        assert.equal(peer.connection.role, "server");
      });
    });
  }

  test("calls back in the middle of a call, and is called back in that", async () => {
    const implementation = {
      echo: async ({ message }: { message: string }, { values }: { values: ContextLike }) => {
        const depth = Number(message);
        if (depth === 0) {
          return { message: "0" };
        }
        const back = createClient(EchoService, values.get(peerKey).transport());
        const { message: inner } = await back.echo({ message: String(depth - 1) });
        return { message: `${depth} ${inner}` };
      },
    };
    await HubLab.run({ implementation }, async (lab) => {
      const device = await lab.device({ implementation });
      const echo = createClient(EchoService, device.transport);
      assert.equal((await echo.echo({ message: "5" })).message, "5 4 3 2 1 0");
      assert.equal(device.endpoint.connections.size, 1);
    });
  });

  test("gets the same transport each time, unless it wants another", async () => {
    await HubLab.run({}, async (lab) => {
      const peer = await lab.peerOf(await lab.device());
      assert.equal(peer.transport(), peer.transport());
      assert.notEqual(peer.transport({ protocol: "grpc" }), peer.transport());
      assert.throws(() => peer.transport({ dialTimeoutMs: 0 }), RangeError);
      assert.throws(() => peer.transport({ waitForReady: 1 as unknown as boolean }), TypeError);
    });
  });

  test("is asked for by the device's authorize, with its id", async () => {
    const asked: string[] = [];
    await HubLab.run({}, async (lab) => {
      const device = await lab.device({
        router: {
          authorize: (caller, { name }) => {
            asked.push(`${name} ${caller.type === "peer" ? caller.id.short : "?"}`);
            return name === "Echo";
          },
        },
      });
      const echo = createClient(EchoService, (await lab.peerOf(device)).transport());
      await echo.echo({});
      await assert.rejects(echo.collect(messages("a")), hasCode(Code.PermissionDenied));
      const { short } = lab.hub.endpoint.id;
      assert.deepEqual(asked, [`Echo ${short}`, `Collect ${short}`]);
    });
  });

  test("has deadlines and cancels, and the device's handler hears why", async () => {
    const reasons: Promise<unknown>[] = [];
    const started = [deferred<void>(), deferred<void>()];
    await HubLab.run({}, async (lab) => {
      const device = await lab.device({
        implementation: {
          echo: async (_request, { signal }) => {
            reasons.push(aborted(signal));
            started[reasons.length - 1]?.resolve();
            await aborted(signal);
            return {};
          },
        },
      });
      const echo = createClient(EchoService, (await lab.peerOf(device)).transport());
      await assert.rejects(echo.echo({}, { timeoutMs: 500 }), hasCode(Code.DeadlineExceeded));
      const controller = new AbortController();
      const call = echo.echo({}, { signal: controller.signal });
      await started[1]?.promise;
      controller.abort();
      await assert.rejects(call, hasCode(Code.Canceled));
      hasCode(Code.DeadlineExceeded)(await reasons[0]);
      hasCode(Code.Canceled)(await reasons[1]);
    });
  });

  test("is held to the device's limits", async () => {
    const gate = deferred<void>();
    await HubLab.run({}, async (lab) => {
      const device = await lab.device({
        router: { maxConcurrentCalls: 2, readMaxBytes: 1_000 },
        implementation: {
          echo: async ({ message }) => {
            await (message === "wait" ? gate.promise : undefined);
            return { message };
          },
        },
      });
      const echo = createClient(EchoService, (await lab.peerOf(device)).transport());
      await assert.rejects(
        echo.echo({ message: "x".repeat(1_001) }),
        hasCode(Code.ResourceExhausted),
      );
      const running = [echo.echo({ message: "wait" }), echo.echo({ message: "wait" })];
      await assert.rejects(echo.echo({ message: "x" }), hasCode(Code.Unavailable));
      gate.resolve();
      await Promise.all(running);
    });
  });

  test("hears that a device serves nothing", async () => {
    const caller = deferred<Peer>();
    await HubLab.run(
      {
        implementation: {
          echo: (_request, { values }) => {
            caller.resolve(values.get(peerKey));
            return {};
          },
        },
      },
      async (lab) => {
        const party = await lab.party();
        await createClient(EchoService, lab.connect(party)).echo({});
        const { echo } = createClient(EchoService, (await caller.promise).transport());
        await assert.rejects(echo({}), hasCode(Code.Unimplemented, /serves nothing/));
        assert.equal(lab.hub.router.peers.size, 0);
        assert.deepEqual([...lab.hub.router.peers], []);
      },
    );
  });
});

type ContextLike = Parameters<NonNullable<typeof echoImplementation.echo>>[1]["values"];
