import assert from "node:assert/strict";
import { Code } from "@connectrpc/connect";
import { TestService } from "../../gen/connectquic/test/v1/test_pb.ts";
import { compressions } from "./compressions.ts";
import { failure, Metadata, sameBytes } from "./expect.ts";
import { headersOf } from "./headers.ts";
import { pattern } from "./pattern.ts";
import type { Register } from "./register.ts";
import { awaitAbort, describeCall, fail, produce, setHeaders, setTrailers } from "./script.ts";

/** Methods without side effects over HTTP GET, which the Connect protocol alone has. */
export function httpGetTests(test: Register): void {
  test("a method without side effects is called with GET where the protocol has it", async (stage) => {
    const client = stage.clientOf(TestService, { useHttpGet: true });
    const { call } = await client.lookup({ script: stage.script(describeCall) });
    assert.equal(call?.httpMethod, stage.config.protocol === "connect" ? "GET" : "POST");
    assert.equal(call?.protocol, stage.config.protocol);
  });

  test("other methods are called with POST", async (stage) => {
    const client = stage.clientOf(TestService, { useHttpGet: true });
    const { call } = await client.unary({ script: stage.script(describeCall) });
    assert.equal(call?.httpMethod, "POST");
  });

  test("a method without side effects is called with POST unless asked", async (stage) => {
    const { call } = await stage.client.lookup({ script: stage.script(describeCall) });
    assert.equal(call?.httpMethod, "POST");
  });

  for (const coding of ["identity", "gzip"] as const) {
    test(`a call with GET carries data, text and metadata (${coding})`, async (stage) => {
      const sendCompression = coding === "gzip" ? compressions.gzip : undefined;
      const client = stage.clientOf(TestService, {
        useHttpGet: true,
        ...(sendCompression === undefined
          ? {}
          : { sendCompression, acceptCompression: [sendCompression], compressMinBytes: 0 }),
      });
      const data = pattern(0, 3_000);
      const text = "größer + 100% & 東京?/#=";
      const response = await client.lookup({ data, text });
      sameBytes(response.data, data);
      assert.equal(response.text, text);
      const metadata = new Metadata();
      const script = stage.script(
        setHeaders([["x-head", "1"]]),
        setTrailers([["x-tail", "2"]]),
        describeCall,
      );
      const { call } = await client.lookup(
        { script },
        { ...metadata.options, headers: { "x-request": "3" } },
      );
      assert.equal(headersOf(call?.requestHeaders).get("x-request"), "3");
      assert.equal(metadata.header?.get("x-head"), "1");
      assert.equal(metadata.trailer?.get("x-tail"), "2");
    });
  }

  test("a call with GET carries errors, deadlines and cancellation", async (stage) => {
    const client = stage.clientOf(TestService, { useHttpGet: true });
    const error = await failure(
      client.lookup({ script: stage.script(fail({ code: Code.NotFound, message: "größer" })) }),
      Code.NotFound,
    );
    assert.equal(error.rawMessage, "größer");
    const { call } = await client.lookup(
      { script: stage.script(describeCall) },
      { timeoutMs: 600_000 },
    );
    assert.ok(call?.timeoutMs !== undefined);
    const controller = new AbortController();
    const script = stage.scriptOf(`${stage.name}, canceled`, awaitAbort, produce(1));
    const pending = failure(
      client.lookup({ script }, { signal: controller.signal }),
      Code.Canceled,
    );
    await stage.event("started", script.callName);
    controller.abort();
    await pending;
    await stage.event("finished", script.callName);
  });
}
