import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { EchoRequestSchema } from "../../gen/connectquic/bench/v1/bench_pb.ts";
import { MessageSerializer } from "./message-serializer.ts";

const sizes = [0, 1, 100, 127, 128, 1_000, 1_100, 4_090, 5_000, 70_000];

function serializerOf(writeMaxBytes: number): MessageSerializer {
  return new MessageSerializer({
    desc: EchoRequestSchema,
    binary: true,
    writeMaxBytes,
    serialize: (message) => {
      const bytes = toBinary(EchoRequestSchema, message);
      assert.ok(bytes.length <= writeMaxBytes, "too large");
      return bytes;
    },
  });
}

test("bytes and envelopes are those of protobuf-es and Connect, and stay as they are when more are made", () => {
  const serializer = serializerOf(100_000);
  const messages = sizes.map((size) =>
    create(EchoRequestSchema, { payload: new Uint8Array(size).fill(size) }),
  );
  const whole = messages.map((message) => serializer.serialize(message));
  const enveloped = messages.map((message) => serializer.envelope(message));
  const expected = messages.map((message) => toBinary(EchoRequestSchema, message));
  assert.deepEqual(whole, expected);
  assert.deepEqual(
    enveloped,
    expected.map((bytes) => encodeEnvelope(0, bytes)),
  );
});

test("who refuses a message that is too large is connect-es", () => {
  const serializer = serializerOf(50);
  const message = create(EchoRequestSchema, { payload: new Uint8Array(49) });
  assert.throws(() => serializer.serialize(message), /too large/);
  assert.throws(() => serializer.envelope(message), /too large/);
});

test("a message that is read while another one is written spoils neither", () => {
  const serializer = serializerOf(1_000);
  const inner = create(EchoRequestSchema, { payload: new Uint8Array(30).fill(1) });
  const outer = create(EchoRequestSchema, { payload: new Uint8Array(60).fill(2) });
  const expected = [inner, outer].map((message) => toBinary(EchoRequestSchema, message));
  let innerBytes: Uint8Array | undefined;
  const { payload } = outer;
  Object.defineProperty(outer, "payload", {
    get: () => {
      innerBytes = serializer.serialize(inner);
      return payload;
    },
  });
  assert.deepEqual([serializer.serialize(outer), innerBytes].reverse(), expected);
});
