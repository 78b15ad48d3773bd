import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import fc from "fast-check";
import { StatusSchema } from "./gen/google/rpc/status_pb.ts";
import { addStatus, statusFromError, statusFromTrailer } from "./status.ts";

test("an error with details is the same at the other end", () => {
  const error = new ConnectError("größer als 100 %", Code.Aborted, undefined, [
    { desc: StringValueSchema, value: { value: "why" } },
  ]);
  const trailer = new Headers();
  addStatus(trailer, statusFromError(error));
  const found = findTrailerError(trailer);
  assert.equal(found?.code, Code.Aborted);
  assert.equal(found?.rawMessage, "größer als 100 %");
  assert.deepEqual(
    found?.findDetails(StringValueSchema).map(({ value }) => value),
    ["why"],
  );
});

test("no status, and code 0, are success", () => {
  for (const status of [undefined, create(StatusSchema, { message: "of no interest" })]) {
    const trailer = new Headers();
    addStatus(trailer, status);
    assert.equal(trailer.get("grpc-status"), "0");
    assert.equal(statusFromTrailer(trailer).code, 0);
  }
});

test("trailers without a status are a failure", () => {
  assert.equal(statusFromTrailer(new Headers()).code, Code.Internal);
});

test("any status of a peer is success or an error with a code that there is", () => {
  const statuses = fc.record({
    code: fc.oneof(
      fc.integer({ min: -1, max: 20 }),
      fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
    ),
    message: fc.string({ unit: "grapheme" }),
    details: fc.array(fc.record({ typeUrl: fc.string(), value: fc.uint8Array() }), {
      maxLength: 2,
    }),
  });
  fc.assert(
    fc.property(statuses, (init) => {
      const trailer = new Headers();
      addStatus(trailer, create(StatusSchema, init));
      const error = findTrailerError(trailer);
      assert.equal(error === undefined, init.code === 0);
      assert.ok(error === undefined || error.code in Code);
    }),
  );
});
