import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  AbsentTestService,
  FieldSchema,
  GarbledRequestSchema,
  GarbledResponseSchema,
  ReceivedSchema,
  TestService,
} from "../../gen/connectquic/test/v1/test_pb.ts";
import { failure } from "./expect.ts";
import { kinds } from "./kinds.ts";
import { collect, messages } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import type { Register } from "./register.ts";
import { crash, echo, fail, produce, receive, setHeaders, setTrailers } from "./script.ts";
import type { RequestInit } from "./stage.ts";

const codes = Object.values(Code).filter((code): code is Code => typeof code === "number");
const messageTexts = [
  "plain",
  "größer als ASCII: 東京 🚄",
  "several\nlines\r\nand\ttabs",
  "percent %41 %zz 100%",
  " spaces around ",
  "",
];
const details = [
  { desc: FieldSchema, value: create(FieldSchema, { name: "what", value: "東京" }) },
  { desc: ReceivedSchema, value: create(ReceivedSchema, { messages: 7, digest: "\u0000\n" }) },
];

/** No protobuf message, and in JSON a string. */
const garbage = Uint8Array.of(0xff, 0xff, 0xff);

/** Calls that fail. */
export function errorTests(test: Register): void {
  test("every code of an error reaches the client, for all kinds of methods", async (stage) => {
    for (const code of codes) {
      const script = stage.script(fail({ code, message: `code ${code}` }));
      for (const call of Object.values(kinds)) {
        const error = await failure(call(stage, { script }), code);
        assert.equal(error.rawMessage, `code ${code}`);
      }
    }
  });

  test("the message of an error is any text", async (stage) => {
    for (const message of messageTexts) {
      const script = stage.script(fail({ code: Code.Internal, message }));
      for (const call of Object.values(kinds)) {
        assert.equal((await failure(call(stage, { script }), Code.Internal)).rawMessage, message);
      }
    }
  });

  test("details of an error reach the client", async (stage) => {
    const message = "größer";
    const script = stage.script(fail({ code: Code.Aborted, message, details }));
    for (const call of Object.values(kinds)) {
      const error = await failure(call(stage, { script }), Code.Aborted);
      assert.equal(error.rawMessage, message);
      assert.equal(error.details.length, 2);
      assert.deepEqual(error.findDetails(FieldSchema), [details[0]?.value]);
      assert.deepEqual(error.findDetails(ReceivedSchema), [details[1]?.value]);
    }
  });

  test("an error brings its own metadata, and the trailers and headers that were set", async (stage) => {
    const script = stage.script(
      setHeaders([["x-head", "1"]]),
      setTrailers([["x-tail", "2"]]),
      fail({
        code: Code.NotFound,
        metadata: [
          ["x-own", "a"],
          ["x-own", "b"],
        ],
      }),
    );
    for (const call of Object.values(kinds)) {
      const { metadata } = await failure(call(stage, { script }), Code.NotFound);
      assert.equal(metadata.get("x-own"), "a, b");
      assert.equal(metadata.get("x-tail"), "2");
      assert.equal(metadata.get("x-head"), "1");
    }
  });

  for (const count of [1, 20]) {
    test(`an error after ${count} responses comes after them`, async (stage) => {
      const script = stage.script(produce(count, 100), fail({ code: Code.DataLoss }));
      for (const responses of [
        stage.client.serverStream({ script }),
        stage.client.bidiStream(messages([{ script }])),
      ]) {
        let received = 0;
        const reading = (async () => {
          for await (const { index } of responses) {
            assert.equal(index, received++);
          }
        })();
        await failure(reading, Code.DataLoss);
        assert.equal(received, count);
      }
    });
  }

  test(
    "an error ends a call whose client still sends",
    async (stage) => {
      const script = stage.script(receive(2), fail({ code: Code.FailedPrecondition }));
      for (const call of [
        (outbox: Outbox<RequestInit>) => stage.client.clientStream(outbox),
        (outbox: Outbox<RequestInit>) => collect(stage.client.bidiStream(outbox)),
      ]) {
        const outbox = new Outbox<RequestInit>({ script }, {});
        await failure(call(outbox), Code.FailedPrecondition);
        await outbox.left;
      }
    },
    { needs: ["fullDuplex"] },
  );

  test("an error that is no ConnectError does not tell the client its text", async (stage) => {
    const script = stage.script(crash("the password is sesame"));
    for (const call of Object.values(kinds)) {
      const error = await failure(call(stage, { script }), Code.Internal, Code.Unknown);
      assert.doesNotMatch(error.message, /sesame/);
      assert.doesNotMatch(JSON.stringify([...error.metadata]), /sesame/);
    }
  });

  test("a method without a handler is Unimplemented", async (stage) => {
    await failure(stage.client.missing({}), Code.Unimplemented);
  });

  test("a service that the server lacks is Unimplemented", async (stage) => {
    const client = stage.clientOf(AbsentTestService);
    await failure(client.unary({}), Code.Unimplemented);
    await failure(collect(client.serverStream({})), Code.Unimplemented);
  });

  test("a method that the server does not know is Unimplemented", async (stage) => {
    const method = { ...TestService.method.unary, name: "Unheard" };
    const call = stage.transport().unary(method, undefined, undefined, undefined, {}, undefined);
    await failure(call, Code.Unimplemented);
  });

  test("a request that the server cannot read fails the call", async (stage) => {
    const method = { ...TestService.method.unary, input: GarbledRequestSchema };
    const call = stage
      .transport()
      .unary(method, undefined, undefined, undefined, { script: garbage }, undefined);
    await failure(call, Code.InvalidArgument, Code.Internal);
  });

  test("a message that the server cannot read ends a stream", async (stage) => {
    const method = { ...TestService.method.bidiStream, input: GarbledRequestSchema };
    const outbox = new Outbox<MessageInitShape<typeof GarbledRequestSchema>>({}, {});
    const { message } = await stage
      .transport()
      .stream(method, undefined, undefined, undefined, outbox, undefined);
    const iterator = message[Symbol.asyncIterator]();
    await iterator.next();
    await iterator.next();
    outbox.send({ script: garbage });
    await failure(iterator.next(), Code.InvalidArgument, Code.Internal);
    await outbox.left;
  });

  test("a response that the client cannot read fails the call", async (stage) => {
    const method = { ...TestService.method.unary, output: GarbledResponseSchema };
    const call = stage
      .transport()
      .unary(method, undefined, undefined, undefined, { data: garbage }, undefined);
    await failure(call, Code.InvalidArgument, Code.Internal);
  });

  test("a message that the client cannot read fails a stream, and the handler learns of it", async (stage) => {
    const method = { ...TestService.method.bidiStream, output: GarbledResponseSchema };
    const outbox = new Outbox<RequestInit>({ script: stage.script(echo()) });
    const { message } = await stage
      .transport()
      .stream(method, undefined, undefined, undefined, outbox, undefined);
    const iterator = message[Symbol.asyncIterator]();
    await iterator.next();
    outbox.send({ data: garbage });
    await failure(iterator.next(), Code.InvalidArgument, Code.Internal);
    await stage.event("signal");
    await stage.event("finished");
  });

  test("an error of the client's own messages ends the call on both sides", async (stage) => {
    const outbox = new Outbox<RequestInit>({ script: stage.script(receive()) }, {});
    const call = stage.client.clientStream(outbox);
    call.catch(() => {});
    await stage.event("started");
    outbox.fail(new ConnectError("nothing left to send", Code.ResourceExhausted));
    await failure(call, Code.ResourceExhausted);
    await stage.event("signal");
    await stage.event("finished");
  });
}
