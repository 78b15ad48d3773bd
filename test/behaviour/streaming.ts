import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { Metadata, sameBytes } from "./expect.ts";
import { encodingOf, headersOf } from "./headers.ts";
import { collect, messages } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import { pattern } from "./pattern.ts";
import type { Register } from "./register.ts";
import { describeCall, echo, produce, receive, stopReceiving, summarize } from "./script.ts";
import type { RequestInit } from "./stage.ts";

/** Calls with many messages. */
export function streamingTests(test: Register): void {
  for (const count of [0, 1, 20]) {
    test(`a server stream of ${count} messages arrives whole and in order`, async (stage) => {
      const responses = await collect(
        stage.client.serverStream({ script: stage.script(produce(count, 1_100)) }),
      );
      assert.equal(responses.length, count);
      for (const [i, { index, data }] of responses.entries()) {
        assert.equal(index, i);
        sameBytes(data, pattern(i, 1_100));
      }
    });

    test(`a client stream of ${count} messages arrives whole and in order`, async (stage) => {
      const sent = Array.from({ length: count }, (_, index) => pattern(index, 1_100));
      const { received } = await stage.client.clientStream(
        messages(sent.map((data) => ({ data }))),
      );
      const digest = createHash("sha256").update(Buffer.concat(sent)).digest("hex");
      assert.deepEqual(
        { messages: received?.messages, bytes: received?.bytes, digest: received?.digest },
        { messages: count, bytes: BigInt(count * 1_100), digest },
      );
    });

    test(`a half-duplex bidirectional stream of ${count} messages each way`, async (stage) => {
      const script = stage.script(receive(), produce(count, 1_100), summarize);
      const requests = Array.from({ length: count }, (_, index) => ({
        data: pattern(index, 1_100),
      }));
      const responses = await collect(stage.client.bidiStream(messages([{ script }, ...requests])));
      assert.equal(responses.length, count + 1);
      for (const [i, { data }] of responses.slice(0, count).entries()) {
        sameBytes(data, pattern(i, 1_100));
      }
      assert.equal(responses.at(-1)?.received?.messages, count + 1);
    });
  }

  test(
    "F11: a bidirectional stream is interactive: each answer is read before the next message is sent",
    async (stage) => {
      const outbox = new Outbox<RequestInit>();
      const responses = stage.client.bidiStream(outbox)[Symbol.asyncIterator]();
      for (let i = 0; i < 20; i++) {
        outbox.send({ data: pattern(i, 100) });
        const answer = await responses.next();
        sameBytes(answer.value?.data, pattern(i, 100));
      }
      outbox.end();
      assert.equal((await responses.next()).done, true);
    },
    { needs: ["fullDuplex"] },
  );

  test(
    "a handler can speak first, before the client goes on",
    async (stage) => {
      const outbox = new Outbox<RequestInit>({
        script: stage.script(produce(3, 10), echo()),
      });
      const responses = stage.client.bidiStream(outbox)[Symbol.asyncIterator]();
      for (let i = 0; i < 3; i++) {
        assert.equal((await responses.next()).value?.index, i);
      }
      outbox.end();
      await responses.next();
      assert.equal((await responses.next()).done, true);
    },
    { needs: ["fullDuplex"] },
  );

  test("streams carry empty messages", async (stage) => {
    const responses = await collect(stage.client.bidiStream(messages([{}, {}, {}])));
    assert.deepEqual(
      responses.map(({ data, text }) => [data.length, text]),
      [
        [0, ""],
        [0, ""],
        [0, ""],
      ],
    );
    const { received } = await stage.client.clientStream(messages([{}, {}]));
    assert.equal(received?.messages, 2);
  });

  test("a stream is compressed both ways as agreed", async (stage) => {
    const { protocol, sendCompression } = stage.config;
    const metadata = new Metadata();
    const [first] = await collect(
      stage.client.bidiStream(
        messages([{ script: stage.script(describeCall, echo()), data: pattern(0, 5_000) }]),
        metadata.options,
      ),
    );
    const requestHeader = headersOf(first?.call?.requestHeaders);
    assert.equal(encodingOf(protocol, "stream", requestHeader), sendCompression?.name);
    assert.equal(encodingOf(protocol, "stream", metadata.header), sendCompression?.name);
  });

  test(
    "a handler may answer before it has received everything",
    async (stage) => {
      const outbox = new Outbox<RequestInit>({ script: stage.script(receive(2), summarize) }, {});
      const { received } = await stage.client.clientStream(outbox);
      assert.equal(received?.messages, 2);
      await outbox.left;
    },
    { needs: ["fullDuplex"] },
  );

  test("a handler may leave the loop over its requests and answer", async (stage) => {
    const script = stage.script(receive(2), stopReceiving, summarize);
    const { received } = await stage.client.clientStream(messages([{ script }, {}, {}, {}]));
    assert.equal(received?.messages, 2);
  });
}
