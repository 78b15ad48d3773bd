import assert from "node:assert/strict";
import { decodeBinaryHeader, encodeBinaryHeader } from "@connectrpc/connect";
import { InterceptedTestService } from "../../gen/connectquic/test/v1/test_pb.ts";
import { Metadata, sameBytes } from "./expect.ts";
import { headersOf } from "./headers.ts";
import { kinds } from "./kinds.ts";
import { collect, messages } from "./messages.ts";
import { Outbox } from "./outbox.ts";
import { pattern } from "./pattern.ts";
import type { Register } from "./register.ts";
import {
  describeCall,
  type FieldList,
  passGate,
  produce,
  setHeaders,
  setTrailers,
} from "./script.ts";
import { callNameHeader } from "./server-interceptors.ts";
import type { RequestInit } from "./stage.ts";

const everyByte = Uint8Array.from({ length: 256 }, (_, byte) => byte);
const fields: FieldList = [
  ["x-plain", "one value"],
  ["x-Mixed-CASE", "Name in any case"],
  ["x-multi", "first"],
  ["x-multi", "second, with a comma"],
  ["x-odd", 'semicolon; "quotes" \\ equals=1 %41 ~'],
  ["x-empty", ""],
  ["x-long", "v".repeat(5_000)],
  ["x-bytes-bin", encodeBinaryHeader(everyByte)],
];

/** Headers and trailers. */
export function metadataTests(test: Register): void {
  test("request headers reach the handler of a unary call", async (stage) => {
    const { call } = await stage.client.unary(
      { script: stage.script(describeCall) },
      { headers: asHeaders(fields) },
    );
    assertFields(headersOf(call?.requestHeaders));
  });

  test("request headers reach the handler of a stream", async (stage) => {
    const [response] = await collect(
      stage.client.bidiStream(messages([{ script: stage.script(describeCall) }]), {
        headers: asHeaders(fields),
      }),
    );
    assertFields(headersOf(response?.call?.requestHeaders));
  });

  test("response headers and trailers of a unary call reach the client", async (stage) => {
    const metadata = new Metadata();
    const script = stage.script(setHeaders(fields), setTrailers(fields), produce(1));
    await stage.client.unary({ script }, metadata.options);
    assertFields(metadata.header);
    assertFields(metadata.trailer);
  });

  test("response headers and trailers of a client stream reach the client", async (stage) => {
    const metadata = new Metadata();
    const script = stage.script(setHeaders(fields), setTrailers(fields), produce(1));
    await stage.client.clientStream(messages([{ script }, {}]), metadata.options);
    assertFields(metadata.header);
    assertFields(metadata.trailer);
  });

  for (const count of [0, 3]) {
    test(`headers and trailers of a server stream of ${count} messages reach the client`, async (stage) => {
      const metadata = new Metadata();
      const script = stage.script(setHeaders(fields), setTrailers(fields), produce(count));
      await collect(stage.client.serverStream({ script }, metadata.options));
      assertFields(metadata.header);
      assertFields(metadata.trailer);
    });
  }

  test("the header of a stream is there with its first message, the trailer with its end", async (stage) => {
    const metadata = new Metadata();
    const script = stage.script(
      setHeaders([["x-head", "1"]]),
      produce(1),
      passGate(stage.name),
      setTrailers([["x-tail", "2"]]),
    );
    const responses = stage.client.serverStream({ script }, metadata.options);
    const iterator = responses[Symbol.asyncIterator]();
    await iterator.next();
    assert.equal(metadata.header?.get("x-head"), "1");
    const trailerBeforeEnd = metadata.trailer;
    await stage.openGate();
    assert.equal((await iterator.next()).done, true);
    assert.equal(trailerBeforeEnd, undefined);
    assert.equal(metadata.trailer?.get("x-tail"), "2");
    assert.equal(metadata.header?.get("x-tail"), null);
  });

  test(
    "headers of the request arrive before its first message is sent",
    async (stage) => {
      const outbox = new Outbox<RequestInit>();
      const client = stage.clientOf(InterceptedTestService);
      const reading = collect(
        client.bidiStream(outbox, { headers: { [callNameHeader]: stage.name } }),
      );
      await stage.event("intercepted");
      outbox.end();
      assert.deepEqual(await reading, []);
    },
    { needs: ["fullDuplex"] },
  );

  test("a call carries 60 fields in each section", async (stage) => {
    const many = Array.from({ length: 60 }, (_, i): [string, string] => [
      `x-field-${i}`,
      Buffer.from(pattern(i, 100)).toString(),
    ]);
    const metadata = new Metadata();
    const script = stage.script(setHeaders(many), setTrailers(many), describeCall);
    const { call } = await stage.client.unary({ script }, { ...metadata.options, headers: many });
    for (const section of [headersOf(call?.requestHeaders), metadata.header, metadata.trailer]) {
      for (const [name, value] of many) {
        assert.equal(section?.get(name), value);
      }
    }
  });

  test(
    "the handler knows who calls",
    async (stage) => {
      const request = { script: stage.script(describeCall) };
      for (const call of Object.values(kinds)) {
        const [response] = await call(stage, request);
        assert.equal(response?.call?.peerId, stage.subject.peerId);
      }
    },
    { needs: ["peerIdentity"] },
  );

  test("the content type names protocol, kind and format", async (stage) => {
    const { protocol, useBinaryFormat } = stage.config;
    const format = useBinaryFormat === false ? "json" : "proto";
    const { call } = await stage.client.unary({ script: stage.script(describeCall) });
    const [first] = await collect(
      stage.client.serverStream({ script: stage.script(describeCall) }),
    );
    const [unary, stream] = {
      connect: [`application/${format}`, `application/connect+${format}`],
      grpc: [`application/grpc+${format}`, `application/grpc+${format}`],
      "grpc-web": [`application/grpc-web+${format}`, `application/grpc-web+${format}`],
    }[protocol];
    assert.equal(headersOf(call?.requestHeaders).get("content-type"), unary);
    assert.equal(headersOf(first?.call?.requestHeaders).get("content-type"), stream);
  });
}

function asHeaders(list: FieldList): Headers {
  return new Headers(list.map(([name, value]): [string, string] => [name, value]));
}

function assertFields(actual: Headers | undefined): void {
  for (const [name, value] of asHeaders(fields)) {
    if (!name.endsWith("-bin")) {
      assert.equal(actual?.get(name), value, name);
    }
  }
  sameBytes(decodeBinaryHeader(actual?.get("x-bytes-bin") ?? ""), everyByte);
}
