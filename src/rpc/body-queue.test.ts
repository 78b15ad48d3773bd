import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BodyQueue, maxQueuedBytes } from "./body-queue.ts";

function makeQueue(): { queue: BodyQueue; log: string[] } {
  const log: string[] = [];
  const queue = new BodyQueue({
    pause: () => log.push("pause"),
    resumeSoon: () => log.push("resume"),
    abandon: () => log.push("abandon"),
  });
  return { queue, log };
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);

test("gives a waiting reader what is pushed", async () => {
  const { queue } = makeQueue();
  const next = queue.next();
  queue.push(bytes(1));
  assert.deepEqual(await next, { done: false, value: bytes(1) });
});

test("keeps what is pushed before anybody reads, in its order", async () => {
  const { queue } = makeQueue();
  queue.push(bytes(1));
  queue.push(bytes());
  queue.push(bytes(2));
  queue.push(new Uint8Array(1_024).fill(3));
  queue.push(bytes(4));
  queue.end();
  assert.deepEqual(await all(queue), [bytes(1, 2), new Uint8Array(1_024).fill(3), bytes(4)]);
});

test("F9: of single bytes it makes few chunks, and lets only a thousand wait", async () => {
  const { queue, log } = makeQueue();
  let pushed = 0;
  for (; log.length === 0; pushed += 1) {
    queue.push(bytes(pushed % 251));
  }
  assert.ok(pushed < 1_100, `stopped after ${pushed} bytes`);
  // What the stream has at hand when it is stopped still comes.
  for (; pushed < 65_536; pushed += 1) {
    queue.push(bytes(pushed % 251));
  }
  queue.end();
  const chunks = await all(queue);
  assert.ok(chunks.length <= 17, `${chunks.length} chunks`);
  assert.ok(chunks.reduce((sum, { buffer }) => sum + buffer.byteLength, 0) <= 17 * 4_096);
  assert.deepEqual(
    chunks.flatMap((chunk) => [...chunk]),
    Array.from({ length: 65_536 }, (_, index) => index % 251),
  );
  assert.deepEqual(log, ["pause", "resume"]);
});

test("F9: no mixture of sizes makes many chunks", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom(1, 500, 1_023, 1_024, 4_000), { maxLength: 400 }),
      async (sizes) => {
        const { queue } = makeQueue();
        for (const size of sizes) {
          queue.push(new Uint8Array(size));
        }
        queue.end();
        const chunks = await all(queue);
        const total = sizes.reduce((sum, size) => sum + size, 0);
        assert.equal(
          chunks.reduce((sum, { length }) => sum + length, 0),
          total,
        );
        assert.ok(chunks.length <= 2 * Math.ceil(total / 1_024));
      },
    ),
    { numRuns: 300 },
  );
});

test("several readers are served in their order", async () => {
  const { queue } = makeQueue();
  const [first, second, third] = [queue.next(), queue.next(), queue.next()];
  queue.push(bytes(1));
  queue.push(bytes(2));
  queue.end();
  assert.deepEqual((await first).value, bytes(1));
  assert.deepEqual((await second).value, bytes(2));
  assert.equal((await third).done, true);
});

test("F7: stops the stream above its limit, and lets it go on below half of it", async () => {
  const { queue, log } = makeQueue();
  const quarter = new Uint8Array(maxQueuedBytes / 4);
  queue.push(quarter);
  queue.push(quarter);
  queue.push(quarter);
  assert.deepEqual(log, []);
  queue.push(quarter);
  assert.deepEqual(log, ["pause"]);
  await queue.next();
  await queue.next();
  assert.deepEqual(log, ["pause"]);
  await queue.next();
  assert.deepEqual(log, ["pause", "resume"]);
});

test("F8: no byte is lost or reordered however pushing and reading alternate", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          fc.constant("read" as const),
          fc.integer({ min: 1, max: 1_500 }),
          fc.integer({ min: 1, max: 40_000 }),
        ),
      ),
      async (steps) => {
        let paused = false;
        let mostQueued = 0;
        const queue = new BodyQueue({
          pause: () => {
            paused = true;
          },
          resumeSoon: () => {
            paused = false;
          },
          abandon: () => {},
        });
        let pushed = 0;
        let read = 0;
        const take = async (): Promise<boolean> => {
          const { done, value } = await queue.next();
          if (done === true) {
            return false;
          }
          for (const byte of value) {
            assert.equal(byte, read % 251);
            read += 1;
          }
          return true;
        };
        for (const step of steps) {
          if (step === "read") {
            if (read < pushed) {
              await take();
            }
          } else if (!paused) {
            const chunk = Uint8Array.from({ length: step }, (_, index) => (pushed + index) % 251);
            queue.push(chunk);
            pushed += chunk.length;
            mostQueued = Math.max(mostQueued, pushed - read);
          }
        }
        queue.end();
        while (await take()) {
          // Until the end.
        }
        assert.equal(read, pushed);
        assert.ok(mostQueued < maxQueuedBytes + 40_000);
      },
    ),
    { numRuns: 300 },
  );
});

test("a failure comes after what was received before it", async () => {
  const { queue } = makeQueue();
  queue.push(bytes(1));
  queue.fail(new Error("lost"));
  queue.push(bytes(2));
  assert.deepEqual((await queue.next()).value, bytes(1));
  await assert.rejects(queue.next(), /lost/);
  await assert.rejects(queue.next(), /lost/);
});

test("a failure reaches a reader that waits", async () => {
  const { queue } = makeQueue();
  const next = queue.next();
  queue.fail(new Error("lost"));
  await assert.rejects(next, /lost/);
});

test("F16: after an abort nothing more is delivered, though it was received", async () => {
  const { queue } = makeQueue();
  queue.push(bytes(1));
  queue.abort(new Error("cancelled"));
  await assert.rejects(queue.next(), /cancelled/);
});

test("an abort also takes back what was complete", async () => {
  const { queue } = makeQueue();
  queue.push(bytes(1));
  queue.end();
  queue.abort(new Error("cancelled"));
  await assert.rejects(queue.next(), /cancelled/);
});

test("a reader that leaves early tells the stream, once", async () => {
  const { queue, log } = makeQueue();
  queue.push(bytes(1));
  assert.deepEqual(await queue.return(), { done: true, value: undefined });
  await queue.return();
  assert.deepEqual(log, ["abandon"]);
  assert.equal((await queue.next()).done, true);
});

test("a reader that leaves after the end tells nobody", async () => {
  const { queue, log } = makeQueue();
  queue.end();
  await queue.return();
  assert.deepEqual(log, []);
});

test("a reader that throws leaves too, and gets its error back", async () => {
  const { queue, log } = makeQueue();
  await assert.rejects(queue.throw(new Error("mine")), /mine/);
  assert.deepEqual(log, ["abandon"]);
});

async function all(queue: BodyQueue): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of queue) {
    chunks.push(chunk);
  }
  return chunks;
}
