import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import {
  LimitedTestService,
  type TestResponse,
  TestResponseSchema,
  TestService,
} from "../../gen/connectquic/test/v1/test_pb.ts";
import { allCompressions, compressions } from "./compressions.ts";
import { failure } from "./expect.ts";
import { kinds } from "./kinds.ts";
import { collect, messages } from "./messages.ts";
import type { Register } from "./register.ts";
import { produce, receive } from "./script.ts";
import { limits } from "./test-service.ts";

/** Limits on the size of messages, on either side. */
export function limitTests(test: Register): void {
  for (const [kind, call] of Object.entries(kinds)) {
    test(`readMaxBytes of the client bounds the responses of a ${kind} call`, async (stage) => {
      const request = { script: stage.script(produce(1, 3_000)) };
      const [response] = await call(stage, request);
      const size = toBinary(TestResponseSchema, response ?? create(TestResponseSchema)).length;
      assert.ok(size >= 3_000);
      const limited = (readMaxBytes: number) => ({
        client: stage.clientOf(TestService, { readMaxBytes }),
      });
      await call(limited(size), request);
      await failure(call(limited(size - 1), request), Code.ResourceExhausted);
    });

    test(`writeMaxBytes of the client bounds the requests of a ${kind} call`, async (stage) => {
      const client = stage.clientOf(TestService, { writeMaxBytes: 1_000 });
      await call({ client }, { data: new Uint8Array(900) });
      const request = { script: stage.script(produce(1)), data: new Uint8Array(1_000) };
      await failure(call({ client }, request), Code.ResourceExhausted);
    });

    test(`readMaxBytes of the server bounds the requests of a ${kind} call`, async (stage) => {
      const client = stage.clientOf(LimitedTestService);
      await call({ client }, { data: new Uint8Array(limits.readMaxBytes - 100) });
      const request = { data: new Uint8Array(limits.readMaxBytes) };
      await failure(call({ client }, request), Code.ResourceExhausted);
    });

    test(`writeMaxBytes of the server bounds the responses of a ${kind} call`, async (stage) => {
      const client = stage.clientOf(LimitedTestService);
      const responses = (size: number) => ({ script: stage.script(produce(1, size)) });
      await call({ client }, responses(limits.writeMaxBytes - 100));
      await failure(call({ client }, responses(limits.writeMaxBytes)), Code.ResourceExhausted);
    });
  }

  test("limits hold for each message, not for the whole of a stream", async (stage) => {
    const client = stage.clientOf(LimitedTestService, {
      readMaxBytes: 1_000,
      writeMaxBytes: 1_000,
    });
    const requests = Array.from({ length: 10 }, () => ({ data: new Uint8Array(900) }));
    assert.equal((await collect(client.bidiStream(messages(requests)))).length, 10);
  });

  test("a limit counts what a message is after decompression", async (stage) => {
    const { gzip } = compressions;
    assert.ok(gzip !== undefined);
    const options = {
      acceptCompression: [...allCompressions],
      sendCompression: gzip,
      compressMinBytes: 0,
    };
    const bomb = { data: new Uint8Array(1_000_000) };
    const client = stage.clientOf(TestService, { ...options, readMaxBytes: 100_000 });
    const server = stage.clientOf(LimitedTestService, options);
    for (const call of Object.values(kinds)) {
      await failure(call({ client: server }, bomb), Code.ResourceExhausted);
    }
    await failure(client.unary(bomb), Code.ResourceExhausted);
    await failure(collect(client.serverStream(bomb)), Code.ResourceExhausted);
    await failure(collect(client.bidiStream(messages([bomb]))), Code.ResourceExhausted);
  });

  test("the handler learns of a stream that ran into a limit of the client", async (stage) => {
    const client = stage.clientOf(TestService, { readMaxBytes: 1_000 });
    const script = stage.script(produce(1, 100), produce(1_000_000, 2_000), receive());
    const received: TestResponse[] = [];
    const reading = (async () => {
      for await (const response of client.serverStream({ script })) {
        received.push(response);
      }
    })();
    await failure(reading, Code.ResourceExhausted);
    // None when both messages came in one piece: connect-es looks at the heads of all of it first.
    assert(received.length <= 1);
    await stage.event("signal");
    await stage.client.unary({});
  });
}
