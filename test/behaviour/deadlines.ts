import assert from "node:assert/strict";
import { Code } from "@connectrpc/connect";
import { LimitedTestService, TestService } from "../../gen/connectquic/test/v1/test_pb.ts";
import { failure } from "./expect.ts";
import { kinds } from "./kinds.ts";
import type { Register } from "./register.ts";
import { awaitAbort, describeCall, produce, throwReason } from "./script.ts";
import type { Stage } from "./stage.ts";
import { limits } from "./test-service.ts";

const longMs = 600_000;

/** 50 milliseconds, as each protocol has it on the wire. */
const timeoutHeaders = {
  connect: { "connect-timeout-ms": "50" },
  grpc: { "grpc-timeout": "50m" },
  "grpc-web": { "grpc-timeout": "50m" },
} as const;

/** Calls with a time limit. */
export function deadlineTests(test: Register): void {
  test("the handler knows how much time is left", async (stage) => {
    const script = stage.script(describeCall);
    const { call } = await stage.client.unary({ script }, { timeoutMs: longMs });
    assert.ok(call?.timeoutMs !== undefined);
    assert.ok(call.timeoutMs > longMs / 2 && call.timeoutMs <= longMs, `${call.timeoutMs} ms`);
  });

  test("the default timeout of the transport reaches the handler, and a call can lift it", async (stage) => {
    const client = stage.clientOf(TestService, { defaultTimeoutMs: longMs });
    const script = stage.script(describeCall);
    const limited = await client.unary({ script });
    assert.ok(limited.call?.timeoutMs !== undefined);
    const unlimited = await client.unary({ script }, { timeoutMs: 0 });
    assert.equal(unlimited.call?.timeoutMs, undefined);
  });

  for (const [kind, call] of Object.entries(kinds)) {
    test(`a ${kind} call that takes too long is DeadlineExceeded, and its handler learns of it`, async (stage) => {
      const name = await untilStarted(stage, async (callName, timeoutMs) => {
        const script = stage.scriptOf(callName, awaitAbort, throwReason);
        await failure(call(stage, { script }, { timeoutMs }), Code.DeadlineExceeded);
      });
      const { reason } = await stage.event("signal", name);
      // The client's reset and the server's own timer race.
      assert.ok(
        reason?.code === Code.DeadlineExceeded || reason?.code === Code.Canceled,
        `reason ${reason?.code} ${reason?.message}`,
      );
      await stage.event("finished", name);
    });

    test(`F17: the server keeps the deadline of a ${kind} call by itself and tells its handler`, async (stage) => {
      const script = stage.script(awaitAbort, throwReason);
      // As a field, so that the client itself sets no timer.
      const headers = timeoutHeaders[stage.config.protocol];
      await failure(call(stage, { script }, { headers }), Code.DeadlineExceeded);
      assert.equal((await stage.event("signal")).reason?.code, Code.DeadlineExceeded);
    });
  }

  test("messages that came before the deadline are delivered", async (stage) => {
    let received = 0;
    await untilStarted(stage, async (callName, timeoutMs) => {
      received = 0;
      const script = stage.scriptOf(callName, produce(3), awaitAbort, throwReason);
      const reading = (async () => {
        for await (const { index } of stage.client.serverStream({ script }, { timeoutMs })) {
          assert.equal(index, received++);
        }
      })();
      await failure(reading, Code.DeadlineExceeded);
      return received === 3;
    });
    assert.equal(received, 3);
  });

  test("a timeout above the limit of the server is refused", async (stage) => {
    const client = stage.clientOf(LimitedTestService);
    await client.unary({}, { timeoutMs: limits.maxTimeoutMs });
    await failure(
      client.unary({}, { timeoutMs: limits.maxTimeoutMs + 60_000 }),
      Code.InvalidArgument,
    );
  });
}

/**
 * Gives a call more and more time until its handler had enough to start before the deadline, so that a busy machine makes no
 * difference. Resolves with the name of that call.
 */
async function untilStarted(
  stage: Stage,
  attempt: (callName: string, timeoutMs: number) => Promise<unknown>,
): Promise<string> {
  for (let timeoutMs = 50; ; timeoutMs *= 2) {
    const callName = `${stage.name}, ${timeoutMs} ms`;
    const satisfied = await attempt(callName, timeoutMs);
    const { events } = await stage.progress(callName);
    if (satisfied !== false && events.length > 0) {
      return callName;
    }
  }
}
