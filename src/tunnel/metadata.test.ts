import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, encodeBinaryHeader } from "@connectrpc/connect";
import fc from "fast-check";
import { MetadataSchema } from "./gen/grpctunnel/v1/tunnel_pb.ts";
import { headersFromMetadata, metadataFromHeaders } from "./metadata.ts";
import { chooseRevision } from "./negotiation.ts";
import { maxMetadataSize } from "./tunnel-limits.ts";

function metadata(md: Readonly<Record<string, string[]>>) {
  return create(MetadataSchema, {
    md: Object.fromEntries(Object.entries(md).map(([name, val]) => [name, { val }])),
  });
}

function binary(text: string): string {
  return encodeBinaryHeader(new TextEncoder().encode(text));
}

test("values go over as they are, and several of a name come out joined", () => {
  const header = headersFromMetadata(metadata({ "x-a": ["1", "2"], "x-b": [""] }), "utf8");
  assert.deepEqual(
    [...(header ?? [])],
    [
      ["x-a", "1, 2"],
      ["x-b", ""],
    ],
  );
  const back = metadataFromHeaders(header ?? new Headers(), "utf8");
  assert.deepEqual(back, metadata({ "x-a": ["1, 2"], "x-b": [""] }));
});

test("binary values are bare bytes in a frame, where a peer knows nothing else", () => {
  const header = new Headers([
    ["x-bin", binary("größer")],
    ["x-bin", binary("\ufeffbom")],
  ]);
  const sent = metadataFromHeaders(header, "utf8");
  assert.deepEqual(sent, metadata({ "x-bin": ["größer", "\ufeffbom"] }));
  assert.equal(
    headersFromMetadata(sent, "utf8")?.get("x-bin"),
    `${binary("größer")}, ${binary("\ufeffbom")}`,
  );
});

test("binary values that are no UTF-8 need a peer that takes base64", () => {
  const header = new Headers({ "x-bin": encodeBinaryHeader(new Uint8Array([0xff, 0x00])) });
  assert.throws(
    () => metadataFromHeaders(header, "utf8"),
    (error) => error instanceof ConnectError && error.code === Code.Internal,
  );
  const sent = metadataFromHeaders(header, "base64");
  assert.equal(headersFromMetadata(sent, "base64")?.get("x-bin"), header.get("x-bin"));
});

test("what a tunnel says in other ways is not in its metadata, in neither direction", () => {
  const header = new Headers({
    "grpc-status": "7",
    te: "trailers",
    "grpc-timeout": "1S",
    "x-a": "1",
  });
  assert.deepEqual(Object.keys(metadataFromHeaders(header, "utf8").md).sort(), [
    "grpc-timeout",
    "x-a",
  ]);
  const received = metadata({ "Grpc-Status": ["7"], "content-type": ["text/html"], "x-a": ["1"] });
  assert.deepEqual([...(headersFromMetadata(received, "utf8") ?? [])], [["x-a", "1"]]);
});

test("metadata that cannot be in headers, or is too much, is none", () => {
  for (const md of [
    { "": ["1"] },
    { "not a name": ["1"] },
    { "x-a": ["line\nbreak"] },
    { "x-a": ["\u0000"] },
    { "x-a": ["東京"] },
    { "x-a": ["v".repeat(maxMetadataSize)] },
  ]) {
    assert.equal(headersFromMetadata(metadata(md), "utf8"), undefined, Object.keys(md)[0]);
  }
});

test("any metadata of a peer is headers or none, and never throws", () => {
  const names = fc.oneof(
    fc.string(),
    fc.constantFrom("x-bin", "__proto__", "constructor", ":path"),
  );
  const anything = fc.dictionary(names, fc.array(fc.string({ unit: "binary" })));
  fc.assert(
    fc.property(anything, fc.constantFrom("utf8" as const, "base64" as const), (md, encoding) => {
      const header = headersFromMetadata(metadata(md), encoding);
      if (header !== undefined && encoding === "utf8") {
        metadataFromHeaders(header, encoding);
      }
    }),
    { numRuns: 50 },
  );
});

test("the newest revision that both know is taken, and an empty offer is revision zero", () => {
  assert.equal(chooseRevision([0, 1], [0, 1]), 1);
  assert.equal(chooseRevision([0, 1, 2], [0, 1]), 1);
  assert.equal(chooseRevision([0, 1], [0]), 0);
  assert.equal(chooseRevision([], [0, 1]), 0);
  assert.equal(chooseRevision([2], [0, 1]), undefined);
});
