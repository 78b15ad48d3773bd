import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import {
  type FrameOutcome,
  type FrameVector,
  longBytes,
  relayFrameVectors,
} from "../../test/vectors/relay-vectors.ts";
import { decodeHex } from "../base/hex.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { RelayError } from "./relay-error.ts";
import {
  type ClientFrame,
  decodeClientFrame,
  decodeRelayFrame,
  type Ecn,
  encodeClientFrame,
  encodeRelayFrame,
  maxBatchBytes,
  maxDatagramBytes,
  type RelayFrame,
} from "./relay-frame.ts";

const ecnOf: Readonly<Record<string, Ecn>> = { ect1: 1, ect0: 2, ce: 3 };
const statusOf: Readonly<Record<string, number>> = {
  healthy: 0,
  same_endpoint_id_connected: 1,
  rate_limited: 2,
};

function fromVector(vector: FrameVector): RelayFrame {
  switch (vector.type) {
    case "ping":
    case "pong":
      return { type: vector.type, data: decodeHex(vector.data_hex) };
    case "datagrams":
      return {
        type: "datagrams",
        peer: decodeHex(vector.endpoint_id),
        ecn: ecnOf[vector.ecn ?? ""] ?? 0,
        segmentSize: vector.segment_size ?? undefined,
        contents: longBytes(vector.contents),
      };
    case "endpoint_gone":
      return { type: "endpoint-gone", peer: decodeHex(vector.endpoint_id) };
    case "health":
      return { type: "health", text: vector.problem };
    case "restarting":
      return {
        type: "restarting",
        reconnectInMs: vector.reconnect_in_ms,
        tryForMs: vector.try_for_ms,
      };
    case "status":
      return { type: "status", status: vector.code ?? statusOf[vector.status] ?? -1 };
  }
}

function expectOutcome(name: string, outcome: FrameOutcome, decode: () => RelayFrame): void {
  if (outcome.decoded !== undefined) {
    assert.deepEqual(decode(), fromVector(outcome.decoded), name);
  } else if (outcome.error === "InvalidPublicKey") {
    // That an id is a curve point is checked where one is made of it.
    const frame = decode();
    assert.ok("peer" in frame, name);
    assert.throws(() => EndpointId.fromBytes(frame.peer), { code: "invalid-id" }, name);
  } else {
    assert.throws(decode, { name: "RelayError", code: "invalid-frame" }, name);
  }
}

/** As `decode` makes them: with a prototype. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true });
}

const anyPeer = fc.uint8Array({ minLength: 32, maxLength: 32 });
const anyClientFrame: fc.Arbitrary<ClientFrame> = fc.oneof(
  record({
    type: fc.constantFrom("ping" as const, "pong" as const),
    data: fc.uint8Array({ minLength: 8, maxLength: 8 }),
  }),
  record({
    type: fc.constant("datagrams" as const),
    peer: anyPeer,
    ecn: fc.constantFrom<Ecn>(0, 1, 2, 3),
    segmentSize: fc.option(fc.integer({ min: 1, max: 0xffff }), { nil: undefined }),
    contents: fc.uint8Array({ minLength: 1, maxLength: 200 }),
  }),
);
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const anyRelayFrame: fc.Arbitrary<RelayFrame> = fc.oneof(
  anyClientFrame,
  record({ type: fc.constant("endpoint-gone" as const), peer: anyPeer }),
  record({ type: fc.constant("restarting" as const), reconnectInMs: u32, tryForMs: u32 }),
);

test("frames of clients read and write as iroh's", () => {
  assert.ok(relayFrameVectors.client_to_relay.length > 0);
  for (const { name, frame, decoded } of relayFrameVectors.client_to_relay) {
    const expected = fromVector(decoded);
    assert.deepEqual(decodeClientFrame(longBytes(frame)), expected, name);
    assert.deepEqual(encodeClientFrame(expected as ClientFrame), longBytes(frame), name);
  }
});

test("frames of relays read and write as iroh's, in both versions", () => {
  for (const { name, versions, frame, decoded } of relayFrameVectors.relay_to_client) {
    const expected = fromVector(decoded);
    for (const version of [1, 2] as const) {
      if (versions.includes(version)) {
        assert.deepEqual(decodeRelayFrame(longBytes(frame), version), expected, name);
      } else {
        assert.throws(() => decodeRelayFrame(longBytes(frame), version), RelayError, name);
      }
    }
    assert.deepEqual(encodeRelayFrame(expected), longBytes(frame), name);
  }
});

test("F30: odd frames come to what iroh makes of them", () => {
  for (const { name, frame, at_relay, at_client_v1, at_client_v2 } of relayFrameVectors.edge) {
    const bytes = longBytes(frame);
    expectOutcome(`${name}, at a relay`, at_relay, () => decodeClientFrame(bytes));
    expectOutcome(`${name}, version 1`, at_client_v1, () => decodeRelayFrame(bytes, 1));
    expectOutcome(`${name}, version 2`, at_client_v2, () => decodeRelayFrame(bytes, 2));
  }
});

test("frames that make a relay drop their receiver are not written", () => {
  for (const { name, message } of relayFrameVectors.refused_by_sender) {
    const frame = fromVector(message);
    assert.throws(() => encodeClientFrame(frame as ClientFrame), RangeError, name);
    assert.throws(() => encodeRelayFrame(frame), RangeError, name);
  }
  const peer = new Uint8Array(32);
  for (const [segmentSize, most] of [
    [undefined, maxDatagramBytes],
    [1_200, maxBatchBytes],
  ] as const) {
    const contents = new Uint8Array(most);
    const frame = { type: "datagrams", peer, ecn: 0, segmentSize, contents } as const;
    assert.equal(encodeClientFrame(frame).length - 1, 65_535);
  }
});

test("every frame reads back, and no cut of it is mistaken for it", () => {
  fuzz(
    anyRelayFrame,
    (frame) => {
      const bytes = encodeRelayFrame(frame);
      assert.deepEqual(decodeRelayFrame(bytes, 2), frame);
      for (let length = 0; length < Math.min(bytes.length, 36); length += 1) {
        try {
          assert.notDeepEqual(decodeRelayFrame(bytes.subarray(0, length), 2), frame);
        } catch (error) {
          assert.ok(error instanceof RelayError, String(error));
        }
      }
    },
    3_000,
  );
  fuzz(
    anyClientFrame,
    (frame) => assert.deepEqual(decodeClientFrame(encodeClientFrame(frame)), frame),
    10_000,
  );
});

test("F30: random bytes read as a frame or are an invalid one, and nothing else is thrown", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 48 }),
    fc
      .tuple(fc.integer({ min: 0, max: 15 }), fc.uint8Array({ maxLength: 48 }))
      .map(([type, rest]) => Uint8Array.of(type, ...rest)),
  );
  fuzz(bytes, (message) => {
    for (const decode of [
      () => decodeClientFrame(message),
      () => decodeRelayFrame(message, 1),
      () => decodeRelayFrame(message, 2),
    ]) {
      try {
        decode();
      } catch (error) {
        assert.ok(error instanceof RelayError && error.code === "invalid-frame", String(error));
      }
    }
  });
});

test("what is wrong with a frame is said", () => {
  const cases: readonly (readonly [hex: string, message: string])[] = [
    ["", "invalid relay frame: unexpected end of input at byte 0: wanted 1, 0 left"],
    ["09aabb", "invalid relay frame: 2 bytes, expected 8"],
    ["06", "invalid relay frame: type 6 is not expected here"],
  ];
  for (const [hex, message] of cases) {
    assert.throws(() => decodeClientFrame(decodeHex(hex)), { message });
  }
});
