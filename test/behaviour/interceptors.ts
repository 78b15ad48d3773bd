import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextKey,
  createContextKey,
  createContextValues,
  type Interceptor,
} from "@connectrpc/connect";
import {
  InterceptedTestService,
  TestRequestSchema,
  TestService,
} from "../../gen/connectquic/test/v1/test_pb.ts";
import { failure, Metadata } from "./expect.ts";
import { headersOf } from "./headers.ts";
import { kinds } from "./kinds.ts";
import { collect, messages } from "./messages.ts";
import type { Register } from "./register.ts";
import { describeCall, echo, fail, produce } from "./script.ts";
import {
  counted,
  noteHeader,
  orderHeader,
  refuseHeader,
  requestCountTrailer,
  responseCountTrailer,
  returnOrderHeader,
} from "./server-interceptors.ts";

/** Interceptors, first those of the client, then those of the server. */
export function interceptorTests(test: Register): void {
  test("the first interceptor of the client is the outermost, and each can edit the request header", async (stage) => {
    const order: string[] = [];
    const named =
      (name: string): Interceptor =>
      (next) =>
      async (request) => {
        request.header.append("x-order", name);
        const response = await next(request);
        order.push(name);
        return response;
      };
    const interceptors = [named("outer"), named("inner")];
    const client = stage.clientOf(TestService, { interceptors });
    const script = stage.script(describeCall);
    const { call } = await client.unary({ script });
    assert.equal(headersOf(call?.requestHeaders).get("x-order"), "outer, inner");
    const [first] = await collect(client.bidiStream(messages([{ script }])));
    assert.equal(headersOf(first?.call?.requestHeaders).get("x-order"), "outer, inner");
    assert.deepEqual(order, ["inner", "outer", "inner", "outer"]);
  });

  test("an interceptor of the client sees and changes messages, header and trailer of a unary call", async (stage) => {
    const interceptor: Interceptor = (next) => async (request) => {
      assert.ok(!request.stream);
      const response = await next({
        ...request,
        message: create(TestRequestSchema, { text: "edited" }),
      });
      assert.ok(!response.stream);
      response.header.set("x-seen", "1");
      response.trailer.set("x-seen", "2");
      return response;
    };
    const metadata = new Metadata();
    const client = stage.clientOf(TestService, { interceptors: [interceptor] });
    const { text } = await client.unary({ text: "original" }, metadata.options);
    assert.equal(text, "edited");
    assert.equal(metadata.header?.get("x-seen"), "1");
    assert.equal(metadata.trailer?.get("x-seen"), "2");
  });

  test("an interceptor of the client sees the messages of a stream pass", async (stage) => {
    const requests = { count: 0 };
    const responses = { count: 0 };
    const interceptor: Interceptor = (next) => async (request) => {
      assert.ok(request.stream);
      const response = await next({ ...request, message: counted(request.message, requests) });
      assert.ok(response.stream);
      return { ...response, message: counted(response.message, responses) };
    };
    const client = stage.clientOf(TestService, { interceptors: [interceptor] });
    const script = stage.script(echo(), produce(2));
    await collect(client.bidiStream(messages([{ script }, {}, {}])));
    assert.deepEqual([requests.count, responses.count], [3, 5]);
  });

  test("an error of an interceptor of the client is the error of the call, and nothing is sent", async (stage) => {
    const interceptor: Interceptor = () => async () => {
      throw new ConnectError("not today", Code.PermissionDenied);
    };
    const refusing = { client: stage.clientOf(TestService, { interceptors: [interceptor] }) };
    const script = stage.script(produce(1));
    for (const call of Object.values(kinds)) {
      assert.equal(
        (await failure(call(refusing, { script }), Code.PermissionDenied)).rawMessage,
        "not today",
      );
    }
    assert.deepEqual((await stage.progress()).events, []);
  });

  test("an interceptor of the client sees errors and may call again", async (stage) => {
    let attempts = 0;
    const retrying: Interceptor = (next) => async (request) => {
      for (;;) {
        attempts++;
        try {
          return await next(request);
        } catch (error) {
          if (ConnectError.from(error).code !== Code.PermissionDenied) {
            throw error;
          }
          request.header.delete(refuseHeader);
        }
      }
    };
    const client = stage.clientOf(InterceptedTestService, { interceptors: [retrying] });
    const headers = { [refuseHeader]: "the first time" };
    const { text } = await client.unary({ text: "again" }, { headers });
    assert.equal(text, "again");
    assert.equal(attempts, 2);
  });

  test("context values of a call reach the interceptors of the client", async (stage) => {
    const key: ContextKey<string> = createContextKey("default");
    const seen: string[] = [];
    const interceptor: Interceptor = (next) => (request) => {
      seen.push(request.contextValues.get(key));
      return next(request);
    };
    const client = stage.clientOf(TestService, { interceptors: [interceptor] });
    const contextValues = createContextValues().set(key, "mine");
    await client.unary({}, { contextValues });
    await collect(client.serverStream({}, { contextValues }));
    await client.unary({});
    assert.deepEqual(seen, ["mine", "mine", "default"]);
  });

  for (const [kind, call] of Object.entries(kinds)) {
    test(`interceptors of the server run in order around a ${kind} call`, async (stage) => {
      const metadata = new Metadata();
      const client = stage.clientOf(InterceptedTestService);
      const [response] = await call(
        { client },
        { script: stage.script(describeCall) },
        { ...metadata.options, headers: { [noteHeader]: "noted" } },
      );
      const info = response?.call;
      assert.equal(headersOf(info?.requestHeaders).get(orderHeader), "outer, inner");
      assert.equal(info?.contextNote, "noted");
      assert.equal(metadata.header?.get(returnOrderHeader), "inner, outer");
    });

    test(`an interceptor of the server may refuse a ${kind} call`, async (stage) => {
      const client = stage.clientOf(InterceptedTestService);
      const pending = call(
        { client },
        { script: stage.script(produce(1)) },
        { headers: { [refuseHeader]: "members only" } },
      );
      const error = await failure(pending, Code.PermissionDenied);
      assert.equal(error.rawMessage, "members only");
      assert.equal(error.metadata.get(returnOrderHeader), "outer");
      assert.deepEqual((await stage.progress()).events, []);
    });
  }

  test("an interceptor of the server sees the messages of a stream pass and sets its trailer", async (stage) => {
    const metadata = new Metadata();
    const client = stage.clientOf(InterceptedTestService);
    const script = stage.script(echo(), produce(2));
    await collect(client.bidiStream(messages([{ script }, {}, {}]), metadata.options));
    assert.equal(metadata.trailer?.get(requestCountTrailer), "3");
    assert.equal(metadata.trailer?.get(responseCountTrailer), "5");
  });

  test("an error of the handler passes the interceptors of the server", async (stage) => {
    const client = stage.clientOf(InterceptedTestService);
    const script = stage.script(fail({ code: Code.OutOfRange, message: "too far" }));
    for (const call of Object.values(kinds)) {
      assert.equal(
        (await failure(call({ client }, { script }), Code.OutOfRange)).rawMessage,
        "too far",
      );
    }
  });
}
