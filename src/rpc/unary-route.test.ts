import assert from "node:assert/strict";
import { test } from "node:test";
import type { ConnectRouterOptions } from "@connectrpc/connect";
import fc from "fast-check";
import { EchoService, echoImplementation } from "../../test/support/echo-service.ts";
import { type FieldSection, parseRequestHead } from "./fields.ts";
import { unaryFormats } from "./unary-protocol.ts";
import { readUnaryRequestHead, unaryRoute } from "./unary-route.ts";

const plain: FieldSection = [
  [":method", "POST"],
  [":scheme", "https"],
  [":authority", "example.iroh.invalid"],
  [":path", "/echo.v1.EchoService/Echo"],
  ["content-type", "application/proto"],
];

function without(name: string): FieldSection {
  return plain.filter(([each]) => each !== name);
}

test("a plain request is read", () => {
  const head = readUnaryRequestHead([
    ...plain,
    ["connect-timeout-ms", "5"],
    ["accept-encoding", "gzip"],
    ["accept-encoding", "br"],
    ["content-length", "12"],
  ]);
  assert.equal(head?.path, "/echo.v1.EchoService/Echo");
  assert.equal(head?.authority, "example.iroh.invalid");
  assert.equal(head?.format, "binary");
  assert.equal(head?.timeout, "5");
  assert.equal(head?.acceptEncoding, "gzip, br");
  assert.equal(head?.contentLength, 12);
});

test("JSON is plain as well", () => {
  const head = readUnaryRequestHead([
    ...without("content-type"),
    ["content-type", "application/json"],
  ]);
  assert.equal(head?.format, "json");
});

test("gRPC has headers of its own", () => {
  for (const [contentType, format] of [
    ["application/grpc", "binary"],
    ["application/grpc+proto", "binary"],
    ["application/grpc+json", "json"],
  ] as const) {
    const fields: FieldSection = [
      ...without("content-type"),
      ["content-type", contentType],
      ["grpc-timeout", "5m"],
      ["grpc-accept-encoding", "gzip"],
      ["connect-timeout-ms", "7"],
      ["accept-encoding", "br"],
      ["content-encoding", "br"],
    ];
    const head = readUnaryRequestHead(fields);
    assert.equal(head?.protocol.name, "grpc");
    assert.equal(head?.format, format);
    assert.equal(head?.timeout, "5m");
    assert.equal(head?.acceptEncoding, "gzip");
    assert.equal(readUnaryRequestHead([...fields, ["grpc-encoding", "gzip"]]), undefined);
  }
});

const others: Readonly<Record<string, FieldSection>> = {
  GET: [...without(":method"), [":method", "GET"]],
  "gRPC-Web": [...without("content-type"), ["content-type", "application/grpc-web"]],
  "a stream": [...without("content-type"), ["content-type", "application/connect+proto"]],
  "a content type with parameters": [
    ...without("content-type"),
    ["content-type", "application/json; charset=utf-8"],
  ],
  "two content types": [...plain, ["content-type", "application/proto"]],
  "no content type": without("content-type"),
  "a compressed request": [...plain, ["content-encoding", "gzip"]],
  "no authority": without(":authority"),
  "an authority that is none": [...without(":authority"), [":authority", "a b"]],
  "a path that is none": [...without(":path"), [":path", "*"]],
};
for (const [what, fields] of Object.entries(others)) {
  test(`${what} is left to the general way`, () => {
    assert.equal(readUnaryRequestHead(fields), undefined);
  });
}

test("whatever is read, the general way would read alike", () => {
  const text = fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,12}$/);
  const oneOf = (...usual: string[]) => fc.oneof(fc.constantFrom(...usual), text);
  const section = fc.tuple(
    fc.tuple(fc.constant(":method"), fc.constantFrom("POST", "GET")),
    fc.tuple(fc.constant(":authority"), oneOf("a", "[::1]:5", "a b", "")),
    fc.tuple(fc.constant(":path"), oneOf("/a/b", "/a/b?c=d", "*")),
    fc.tuple(fc.constant("content-type"), oneOf("application/proto", "application/json")),
  );
  const extra = fc.oneof(
    fc.tuple(fc.constant("accept-encoding"), oneOf("gzip", " br, gzip ")),
    fc.tuple(fc.constant("connect-timeout-ms"), oneOf("5", " 5")),
    fc.tuple(fc.constantFrom("x", "content-encoding"), oneOf("gzip")),
  );
  fc.assert(
    fc.property(section, fc.array(extra, { maxLength: 4 }), (pseudo, extras) => {
      const fields = [...pseudo, ...extras];
      const head = readUnaryRequestHead(fields);
      if (head !== undefined) {
        const general = parseRequestHead(fields);
        assert.equal(general?.path, head.path);
        assert.equal(general.authority, head.authority);
        assert.equal(general.header.get("accept-encoding"), head.acceptEncoding);
        assert.equal(general.header.get("connect-timeout-ms"), head.timeout);
      }
    }),
    { numRuns: 100_000 },
  );
});

test("a route serves the protocols that were not turned off", () => {
  const served = (options: ConnectRouterOptions): string[] => {
    const route = unaryRoute(EchoService.method.echo, echoImplementation.echo, options);
    return [...new Set([...unaryFormats.values()].map(({ protocol }) => protocol))]
      .filter((protocol) => route?.serves(protocol))
      .map(({ name }) => name);
  };
  assert.deepEqual(served({}), ["connect", "grpc"]);
  assert.deepEqual(served({ connect: false }), ["grpc"]);
  assert.deepEqual(served({ grpc: false }), ["connect"]);
});

test("methods that somebody watches have no short way", () => {
  const method = EchoService.method.echo;
  const { echo } = echoImplementation;
  assert.notEqual(unaryRoute(method, echo, {}), undefined);
  assert.equal(unaryRoute(method, undefined, {}), undefined);
  assert.equal(unaryRoute(EchoService.method.repeat, echoImplementation.repeat, {}), undefined);
  assert.equal(unaryRoute(method, echo, { interceptors: [(next) => next] }), undefined);
  assert.equal(unaryRoute(method, echo, { requireConnectProtocolHeader: true }), undefined);
  assert.equal(
    unaryRoute(method, echo, { shutdownSignal: new AbortController().signal }),
    undefined,
  );
});
