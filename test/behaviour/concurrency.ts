import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { Code } from "@connectrpc/connect";
import { failure, sameBytes } from "./expect.ts";
import { Outbox } from "./outbox.ts";
import { pattern } from "./pattern.ts";
import type { Register } from "./register.ts";
import { awaitAbort, fail, produce } from "./script.ts";
import type { RequestInit, Stage } from "./stage.ts";

/** Many calls. */
export function concurrencyTests(test: Register): void {
  test("1,000 calls at a time each get their own answer", async (stage) => {
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) =>
        stage.client.unary({ text: `${i}`, data: pattern(i, 100) }),
      ),
    );
    for (const [i, { text, data }] of answers.entries()) {
      assert.equal(text, `${i}`);
      sameBytes(data, pattern(i, 100));
    }
  });

  test(
    "200 interactive streams at a time",
    async (stage) => {
      const streams = Array.from({ length: 200 }, () => {
        const outbox = new Outbox<RequestInit>();
        return { outbox, responses: stage.client.bidiStream(outbox)[Symbol.asyncIterator]() };
      });
      for (let round = 0; round < 3; round++) {
        for (const [i, { outbox }] of streams.entries()) {
          outbox.send({ text: `${i}, ${round}` });
        }
        for (const [i, { responses }] of streams.entries()) {
          assert.equal((await responses.next()).value?.text, `${i}, ${round}`);
        }
      }
      for (const { outbox, responses } of streams) {
        outbox.end();
        assert.equal((await responses.next()).done, true);
      }
    },
    { needs: ["fullDuplex"] },
  );

  test("F13: calls that fail, are canceled or end early leave room for others", async (stage) => {
    for (let i = 0; i < 40; i++) {
      const controller = new AbortController();
      const name = `${stage.name}, ${i}`;
      const canceled = failure(
        stage.client.unary(
          { script: stage.scriptOf(name, awaitAbort) },
          { signal: controller.signal },
        ),
        Code.Canceled,
      );
      await stage.event("started", name);
      controller.abort();
      await canceled;
      await failure(
        stage.client.unary({ script: stage.scriptOf("", fail({ code: Code.Aborted })) }),
        Code.Aborted,
      );
      const left = new AbortController();
      const responses = stage.client
        .serverStream({ script: stage.scriptOf("", produce(3)) }, { signal: left.signal })
        [Symbol.asyncIterator]();
      await responses.next();
      left.abort();
    }
    await manyCalls(stage, 200);
  });

  test("F27: a signal that many calls share collects no listeners", async (stage) => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => {
      warnings.push(warning);
    };
    process.on("warning", onWarning);
    const { signal } = new AbortController();
    for (let i = 0; i < 50; i++) {
      // No more at a time than Node.js lets listen without a warning.
      await manyCalls(stage, 10, signal);
    }
    process.off("warning", onWarning);
    assert.equal(getEventListeners(signal, "abort").length, 0);
    assert.deepEqual(warnings, []);
  });
}

/** Calls of all kinds, all at the same time. */
async function manyCalls(stage: Stage, count: number, signal?: AbortSignal): Promise<void> {
  const options = signal === undefined ? {} : { signal };
  await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      if (i % 5 > 0) {
        await stage.client.unary({}, options);
        return;
      }
      for await (const _ of stage.client.serverStream({}, options)) {
        // To the end.
      }
    }),
  );
}
