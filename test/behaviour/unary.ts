import assert from "node:assert/strict";
import { Metadata, sameBytes } from "./expect.ts";
import { encodingOf, headersOf } from "./headers.ts";
import { pattern } from "./pattern.ts";
import type { Register } from "./register.ts";
import { describeCall } from "./script.ts";

/** Calls with one message each way. */
export function unaryTests(test: Register): void {
  test("a unary call brings the request to the handler and its response back", async (stage) => {
    const data = pattern(0, 5_000);
    const text = "größer als ASCII: 東京 🚄\u0000\n";
    const response = await stage.client.unary({ data, text });
    sameBytes(response.data, data);
    assert.equal(response.text, text);
  });

  test("a unary call carries empty messages", async (stage) => {
    const response = await stage.client.unary({});
    assert.equal(response.data.length, 0);
    assert.equal(response.text, "");
  });

  test("the handler of a unary call sees how it was called", async (stage) => {
    const { call } = await stage.client.unary({ script: stage.script(describeCall) });
    assert.equal(call?.protocol, stage.config.protocol);
    assert.equal(call?.httpMethod, "POST");
    assert.equal(call?.timeoutMs, undefined);
  });

  test("a unary call is compressed both ways as agreed", async (stage) => {
    const { protocol, sendCompression } = stage.config;
    const data = pattern(0, 5_000);
    const { call } = await stage.client.unary({ data, script: stage.script(describeCall) });
    const requestHeader = headersOf(call?.requestHeaders);
    assert.equal(encodingOf(protocol, "unary", requestHeader), sendCompression?.name);
    const metadata = new Metadata();
    await stage.client.unary({ data }, metadata.options);
    assert.equal(encodingOf(protocol, "unary", metadata.header), sendCompression?.name);
  });
}
