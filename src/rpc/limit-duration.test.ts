import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Code,
  ConnectError,
  createContextValues,
  type StreamRequest,
  type StreamResponse,
} from "@connectrpc/connect";
import { ManualPlatform, settled } from "../../test/support/manual-platform.ts";
import { limitDuration } from "./limit-duration.ts";

const limitMs = 1_000;

/** The messages of a handler that never ends by itself, under a limit. */
async function limited(platform: ManualPlatform, onEnd: () => void = () => {}) {
  const handler = limitDuration(
    limitMs,
    platform,
  )(async () => {
    const message = (async function* () {
      try {
        for (;;) {
          yield 1;
        }
      } finally {
        onEnd();
      }
    })();
    return { stream: true, message } as unknown as StreamResponse;
  });
  const response = await handler({ contextValues: createContextValues() } as StreamRequest);
  return (response.message as AsyncIterable<number>)[Symbol.asyncIterator]();
}

for (const way of ["throw", "return"] as const) {
  test(`F27: a stream that is left by ${way} leaves no timer behind`, async () => {
    const platform = new ManualPlatform();
    let ended = 0;
    const messages = await limited(platform, () => {
      ended += 1;
    });
    await messages.next();
    assert.equal(platform.timers, 1);
    await messages[way]?.(new Error("the caller is gone")).catch(() => {});
    assert.equal(platform.timers, 0);
    assert.equal(ended, 1);
  });
}

test("a stream is ended where it yields once its time is up, and leaves no timer behind", async () => {
  const platform = new ManualPlatform();
  let ended = 0;
  const messages = await limited(platform, () => {
    ended += 1;
  });
  await messages.next();
  platform.advance(limitMs);
  await assert.rejects(
    messages.next(),
    (error) => error instanceof ConnectError && error.code === Code.DeadlineExceeded,
  );
  await settled();
  assert.equal(platform.timers, 0);
  assert.equal(ended, 1);
});
