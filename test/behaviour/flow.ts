import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { setImmediate as nextTurn } from "node:timers/promises";
import { TestService } from "../../gen/connectquic/test/v1/test_pb.ts";
import { compressions } from "./compressions.ts";
import { sameBytes } from "./expect.ts";
import { messages } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import { pattern } from "./pattern.ts";
import type { Register } from "./register.ts";
import { echo, mark, passGate, produce, receive, type StepInit, summarize } from "./script.ts";
import type { RequestInit, Stage } from "./stage.ts";

const blockSize = 65_536;

/** Large messages, many messages, slow readers. */
export function flowTests(test: Register): void {
  test("a message of 1 MB passes both ways, in a call and in a stream", async (stage) => {
    const data = pattern(0, 1_000_000);
    sameBytes((await stage.client.unary({ data })).data, data);
    for await (const response of stage.client.bidiStream(messages([{ data }, { data }]))) {
      sameBytes(response.data, data);
    }
  });

  test("a compressed message of 1 MB passes both ways", async (stage) => {
    const { gzip } = compressions;
    assert.ok(gzip !== undefined);
    const client = stage.clientOf(TestService, {
      acceptCompression: [gzip],
      sendCompression: gzip,
    });
    const data = pattern(0, 1_000_000);
    sameBytes((await client.unary({ data })).data, data);
  });

  test("F8: no response is lost or reordered while the reader stops and goes on", async (stage) => {
    const count = 1_000;
    const script = stage.script(produce(count, 4_000));
    let expected = 0;
    for await (const { index, data } of stage.client.serverStream({ script })) {
      assert.equal(index, expected);
      sameBytes(data, pattern(expected, 4_000));
      expected++;
      if (expected % 250 === 0) {
        await settled(async () => (await stage.progress()).sent);
      } else if (expected % 7 === 0) {
        await nextTurn();
      }
    }
    assert.equal(expected, count);
  });

  test("F8: no request is lost or reordered while the handler stops and goes on", async (stage) => {
    const count = 1_000;
    const sent = { count: 0 };
    const hash = createHash("sha256");
    const stops = Array.from({ length: 3 }, (_, i): StepInit[] => [
      receive(250),
      mark(`stop ${i}`),
      passGate(`${stage.name}, ${i}`),
    ]);
    const script = stage.script(...stops.flat(), receive(), summarize);
    const response = stage.client.clientStream(
      (async function* (): AsyncGenerator<RequestInit, void> {
        for (; sent.count < count; sent.count++) {
          const data = pattern(sent.count, 4_000);
          hash.update(data);
          yield sent.count === 0 ? { script, data } : { data };
        }
      })(),
    );
    for (const i of stops.keys()) {
      await stage.event(`stop ${i}`);
      await settled(async () => {
        await stage.progress();
        return sent.count;
      });
      await stage.openGate(`${stage.name}, ${i}`);
    }
    const { received } = await response;
    assert.equal(received?.messages, count);
    assert.equal(received?.digest, hash.digest("hex"));
  });

  test(
    "F8: both directions of a stream at once keep order under backpressure",
    async (stage) => {
      const count = 500;
      let read = 0;
      const requests = (async function* (): AsyncGenerator<RequestInit, void> {
        for (let i = 0; i < count; i++) {
          yield { data: pattern(i, 8_000) };
          if (i % 13 === 0) {
            await nextTurn();
          }
        }
      })();
      for await (const { data } of stage.client.bidiStream(requests)) {
        sameBytes(data, pattern(read++, 8_000));
        if (read % 11 === 0) {
          await nextTurn();
        }
      }
      assert.equal(read, count);
    },
    { needs: ["fullDuplex"] },
  );

  test("F7: a handler is held up by a client that does not read", async (stage) => {
    const count = 1_000_000;
    const controller = new AbortController();
    const script = stage.script(produce(count, blockSize));
    const responses = stage.client
      .serverStream({ script }, { signal: controller.signal })
      [Symbol.asyncIterator]();
    await responses.next();
    const sent = await settled(async () => (await stage.progress()).sent);
    assert.ok(sent < maxBlocksInFlight, `${sent} blocks`);
    // It goes on when the client does.
    for (let i = 1; i <= sent; i++) {
      assert.equal((await responses.next()).value?.index, i);
    }
    controller.abort();
    await stage.event("signal");
  });

  test("F16: a handler that is held up is ended by abort", async (stage) => {
    const controller = new AbortController();
    const script = stage.script(produce(1_000_000, blockSize));
    const responses = stage.client
      .serverStream({ script }, { signal: controller.signal })
      [Symbol.asyncIterator]();
    await responses.next();
    await settled(async () => (await stage.progress()).sent);
    controller.abort();
    await stage.event("signal");
    await stage.event("finished");
  });

  test("F7: a client is held up by a handler that does not read", async (stage) => {
    const controller = new AbortController();
    const script = stage.script(mark("first"), passGate(stage.name), receive(200), summarize);
    let sent = 0;
    const requests = (async function* (): AsyncGenerator<RequestInit, void> {
      for (;;) {
        sent++;
        yield sent === 1 ? { script } : { data: pattern(sent, blockSize) };
      }
    })();
    const response = stage.client.clientStream(requests, { signal: controller.signal });
    await stage.event("first");
    const before = await settled(async () => {
      await stage.progress();
      return sent;
    });
    assert.ok(before < maxBlocksInFlight, `${before} blocks`);
    await stage.openGate();
    assert.equal((await response).received?.messages, 200);
    assert.ok(sent < 200 + maxBlocksInFlight);
    controller.abort();
  });

  test(
    "F7: both sides of a stream are held up by a client that writes and does not read",
    async (stage) => {
      const controller = new AbortController();
      let sent = 0;
      const requests = (async function* (): AsyncGenerator<RequestInit, void> {
        for (;;) {
          sent++;
          yield { data: pattern(sent, blockSize) };
        }
      })();
      const responses = stage.client
        .bidiStream(requests, { signal: controller.signal })
        [Symbol.asyncIterator]();
      await responses.next();
      const before = await settled(async () => {
        await stage.progress();
        return sent;
      });
      // What waits for the server's reader, and what waits for ours.
      assert.ok(before < 2 * maxBlocksInFlight, `${before} blocks`);
      for (let i = 2; i <= before; i++) {
        sameBytes((await responses.next()).value?.data, pattern(i, blockSize));
      }
      controller.abort();
    },
    { needs: ["fullDuplex"] },
  );

  test("F10: calls whose readers have stopped do not hold up others", async (stage) => {
    const controller = new AbortController();
    const { signal } = controller;
    const stalled = Array.from({ length: 8 }, (_, i) => {
      const script = stage.scriptOf(`${stage.name}, ${i}`, produce(100_000, blockSize));
      return {
        name: script.callName,
        responses: stage.client.serverStream({ script }, { signal })[Symbol.asyncIterator](),
      };
    });
    for (const { name, responses } of stalled) {
      await responses.next();
      await settled(async () => (await stage.progress(name)).sent);
    }
    await othersGoOn(stage);
    controller.abort();
    for (const { name } of stalled) {
      await stage.event("signal", name);
    }
    await othersGoOn(stage);
  });

  test("F10: calls whose handlers have stopped reading do not hold up others", async (stage) => {
    const controller = new AbortController();
    const { signal } = controller;
    const stalled = Array.from({ length: 8 }, (_, i) => {
      const name = `${stage.name}, ${i}`;
      const outbox = new Outbox<RequestInit>({
        script: stage.scriptOf(name, passGate(stage.name)),
      });
      for (let block = 0; block < 64; block++) {
        outbox.send({ data: pattern(block, blockSize) });
      }
      const call = stage.client.clientStream(outbox, { signal });
      call.catch(() => {});
      return { name, call };
    });
    for (const { name } of stalled) {
      await stage.event("started", name);
    }
    await othersGoOn(stage);
    controller.abort();
    for (const { name } of stalled) {
      await stage.event("signal", name);
    }
    await othersGoOn(stage);
    await stage.openGate();
  });
}

/** More than any transport should have under way for a call whose reader has stopped: 8 MiB. */
const maxBlocksInFlight = 128;

/** Waits until the number does not change any more, for as long as some round trips to the server take. */
async function settled(read: () => Promise<number>): Promise<number> {
  let last = await read();
  for (let unchanged = 0; unchanged < 5; ) {
    const next = await read();
    unchanged = next === last ? unchanged + 1 : 0;
    last = next;
  }
  return last;
}

/** Calls with more data than would fit into what stalled calls leave of a window. */
async function othersGoOn(stage: Stage): Promise<void> {
  const data = pattern(0, 1_000_000);
  sameBytes((await stage.client.unary({ data })).data, data);
  for await (const response of stage.client.bidiStream(
    messages([{ script: stage.scriptOf("", echo()), data }]),
  )) {
    sameBytes(response.data, data);
  }
}
