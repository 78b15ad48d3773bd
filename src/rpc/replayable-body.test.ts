import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { maxReplayBytes, ReplayableBody } from "./replayable-body.ts";

async function* chunks(sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  for (const [index, size] of sizes.entries()) {
    yield new Uint8Array(size).fill(index);
  }
}

async function sizes(reader: AsyncIterator<Uint8Array>): Promise<number[]> {
  const all: number[] = [];
  for (let next = await reader.next(); next.done !== true; next = await reader.next()) {
    all.push(next.value.length);
  }
  return all;
}

test("is read from the beginning a second time", async () => {
  const body = new ReplayableBody(chunks([1, 2, 3]));
  assert.deepEqual(await sizes(body.read()), [1, 2, 3]);
  assert.equal(body.replayable, true);
  assert.deepEqual(await sizes(body.read()), [1, 2, 3]);
});

test("a second reader goes on where the first one stopped", async () => {
  const body = new ReplayableBody(chunks([1, 2, 3]));
  const first = body.read();
  await first.next();
  await first.next();
  assert.deepEqual(await sizes(body.read()), [1, 2, 3]);
});

test("a chunk that the first reader still waited for is not lost", async () => {
  let give: (chunk: Uint8Array) => void = () => {};
  const source = (async function* () {
    yield new Uint8Array(1);
    yield await new Promise<Uint8Array>((resolve) => {
      give = resolve;
    });
  })();
  const body = new ReplayableBody(source);
  const first = body.read();
  await first.next();
  const pending = first.next();
  const second = sizes(body.read());
  await Promise.resolve();
  give(new Uint8Array(2));
  assert.equal((await pending).value?.length, 2);
  assert.deepEqual(await second, [1, 2]);
});

test("F9: keeps no more than its limit, however long the stream is", async () => {
  const body = new ReplayableBody(chunks(Array<number>(1_000).fill(1_000)));
  const reader = body.read();
  for (let i = 0; i < Math.floor(maxReplayBytes / 1_000); i++) {
    await reader.next();
  }
  assert.equal(body.replayable, true);
  await reader.next();
  assert.equal(body.replayable, false);
  assert.equal((await sizes(reader)).length, 1_000 - Math.floor(maxReplayBytes / 1_000) - 1);
});

test("keeps nothing once it is not to be sent again", async () => {
  const body = new ReplayableBody(chunks([1, 2]));
  const reader = body.read();
  await reader.next();
  body.forget();
  assert.equal(body.replayable, false);
  assert.deepEqual(await sizes(reader), [2]);
});

test("a source that fails, fails for a second reader too", async () => {
  const source = (async function* () {
    yield new Uint8Array(1);
    throw new Error("mine");
  })();
  const body = new ReplayableBody(source);
  await assert.rejects(sizes(body.read()), /mine/);
  await assert.rejects(sizes(body.read()), /mine/);
});

test("a second reader that has begun gets all, though nothing is kept for a third", async () => {
  const body = new ReplayableBody(chunks([1, 2, 3, 4, 5, 6]));
  const first = body.read();
  for (let i = 0; i < 4; i++) {
    await first.next();
  }
  const second = body.read();
  await second.next();
  body.forget();
  assert.deepEqual(await sizes(second), [2, 3, 4, 5, 6]);
  assert.throws(() => body.read(), /beginning/);
});

test("F8: every reader gets all from the beginning, however reading, retrying and forgetting alternate", async () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.constant("next" as const) },
    { weight: 4, arbitrary: fc.constant("give" as const) },
    { weight: 1, arbitrary: fc.constant("retry" as const) },
    { weight: 1, arbitrary: fc.constant("forget" as const) },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.array(fc.constantFrom(1, 100, 30_000, 70_000), { maxLength: 20 }),
      async (steps, lengths) => {
        const { source, give } = pushedByHand(lengths);
        const body = new ReplayableBody(source);
        const begin = () => ({ reader: body.read(), got: [] as number[], pending: false });
        let current = begin();
        const next = async (attempt: typeof current): Promise<void> => {
          if (!attempt.pending && attempt.got.at(-1) !== -1) {
            attempt.pending = true;
            const result = await attempt.reader.next();
            attempt.pending = false;
            attempt.got.push(result.done === true ? -1 : (result.value[0] ?? -2));
          }
        };
        for (const action of steps) {
          if (action === "next") {
            void next(current);
          } else if (action === "give") {
            give();
          } else if (action === "forget") {
            body.forget();
          } else if (body.replayable) {
            current = begin();
          }
          await settled();
        }
        while (current.got.at(-1) !== -1) {
          void next(current);
          give();
          await settled();
        }
        assert.deepEqual(current.got, [...lengths.keys(), -1]);
      },
    ),
    { numRuns: 500 },
  );
});

test("tells the source that nobody reads on, and why", async () => {
  const log: unknown[] = [];
  const source = (async function* () {
    try {
      yield new Uint8Array(1);
    } catch (error) {
      log.push(error);
    } finally {
      log.push("finally");
    }
  })();
  const body = new ReplayableBody(source);
  await body.read().next();
  body.abandon("reason");
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(log, ["reason", "finally"]);
});

/** Chunks that say their number, each when `give` is called. */
function pushedByHand(lengths: readonly number[]) {
  const waiting: Array<() => void> = [];
  let given = 0;
  const source = (async function* () {
    for (const [index, length] of lengths.entries()) {
      if (given > 0) {
        given -= 1;
      } else {
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
      yield new Uint8Array(length).fill(index);
    }
  })();
  const give = (): void => {
    const resolve = waiting.shift();
    if (resolve === undefined) {
      given += 1;
    } else {
      resolve();
    }
  };
  return { source, give };
}

/** A reaction to a chunk passes through a few promises, none of which waits for anything else. */
async function settled(): Promise<void> {
  for (let i = 0; i < 12; i++) {
    await undefined;
  }
}

test("a chunk is spent only when nobody will read it again", async () => {
  const spent: number[] = [];
  const source = Object.assign(chunks([1, maxReplayBytes, 2]), {
    spent: ({ length }: Uint8Array) => spent.push(length),
  });
  const body = new ReplayableBody({ [Symbol.asyncIterator]: () => source });
  const reader = body.read();
  for (let next = await reader.next(); next.done !== true; next = await reader.next()) {
    reader.spent?.(next.value);
  }
  assert.deepEqual(spent, [maxReplayBytes, 2]);
});
