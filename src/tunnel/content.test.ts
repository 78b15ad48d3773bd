// The content of a stream from one end to the other: cut into pieces, put together, and taken out of its envelopes.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { IncomingContent } from "./incoming-content.ts";
import { OutgoingContent } from "./outgoing-content.ts";
import { PlainEnvelopes } from "./plain-envelopes.ts";
import { maxPieceBytes, maxWaitingMessages } from "./tunnel-limits.ts";

function incoming(windowBytes: number | undefined, unpacedBytes = 1_000): IncomingContent {
  return new IncomingContent({ windowBytes, unpacedBytes, fault: Code.Internal });
}

function failsWith(code: Code): (error: unknown) => boolean {
  return (error) => error instanceof ConnectError && error.code === code;
}

const messages = fc.array(
  fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.nat(100_000).map((size) => new Uint8Array(size).fill(size)),
  ),
  { maxLength: 12 },
);

test("messages of any size come through windows of any size, and never more than the window", () => {
  const scene = fc.record({
    messages,
    windowBytes: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 200_000 })),
    reads: fc.infiniteStream(fc.boolean()),
  });
  fc.assert(
    fc.property(scene, ({ messages, windowBytes, reads }) => {
      const small = messages.map((message) => message.subarray(0, windowBytes * 100));
      const out = new OutgoingContent(windowBytes);
      const into = incoming(windowBytes);
      const splitter = new PlainEnvelopes();
      const received: Uint8Array[] = [];
      for (const message of small) {
        out.push(message);
      }
      let idle = 0;
      for (const read of reads) {
        const piece = out.next();
        if (piece !== undefined) {
          assert.ok(piece.data.length <= maxPieceBytes);
          // Throws when it does not fit the window.
          if (piece.first) {
            into.begin(piece.size, piece.data);
          } else {
            into.more(piece.data);
          }
        }
        if (read || piece === undefined) {
          const bytes = into.read();
          received.push(...(bytes === undefined ? [] : splitter.push(bytes)));
          out.grant(into.grant());
          idle = bytes === undefined && piece === undefined ? idle + 1 : 0;
        }
        if (idle > 0) {
          break;
        }
      }
      into.end();
      assert.ok(out.empty);
      assert.deepEqual(
        received.map((message) => Buffer.from(message).toString("base64")),
        small.map((message) => Buffer.from(message).toString("base64")),
      );
    }),
    { numRuns: 300 },
  );
});

test("envelopes come off wherever their chunks are cut", () => {
  const scene = fc.record({ messages, cuts: fc.array(fc.nat()) });
  fc.assert(
    fc.property(scene, ({ messages, cuts }) => {
      const into = incoming(10_000_000);
      const chunks: Uint8Array[] = [];
      for (const message of messages) {
        into.begin(message.length, message);
        chunks.push(into.read() ?? new Uint8Array());
      }
      const all = Buffer.concat(chunks);
      const places = [0, ...cuts.map((cut) => cut % (all.length + 1)), all.length];
      places.sort((a, b) => a - b);
      const splitter = new PlainEnvelopes();
      const found = places.flatMap((place, i) =>
        splitter.push(all.subarray(place, places[i + 1] ?? all.length)),
      );
      assert.deepEqual(
        found.map((message) => message.length),
        messages.map((message) => message.length),
      );
    }),
    { numRuns: 200 },
  );
});

test("a compressed envelope has no place in a tunnel", () => {
  const splitter = new PlainEnvelopes();
  assert.throws(() => splitter.push(new Uint8Array([1, 0, 0, 0, 0])), failsWith(Code.Internal));
});

test("an empty message needs no window", () => {
  const out = new OutgoingContent(0);
  out.push(new Uint8Array());
  assert.deepEqual(out.next(), { first: true, size: 0, data: new Uint8Array() });
});

test("a window beyond 32 bits is not one", () => {
  const out = new OutgoingContent(0xffff_ffff);
  assert.equal(out.grant(1), false);
  assert.equal(new OutgoingContent(Number.POSITIVE_INFINITY).grant(1), true);
});

test("half of the window is given back at once, and less is kept together", () => {
  const into = incoming(10_000);
  into.begin(4_000, new Uint8Array(4_000));
  into.read();
  assert.equal(into.grant(), 0);
  into.begin(1_500, new Uint8Array(1_500));
  into.read();
  assert.equal(into.grant(), 5_500);
  assert.equal(into.grant(), 0);
});

describe("content that breaks the protocol", () => {
  test("more than the window", () => {
    const into = incoming(10);
    into.begin(20, new Uint8Array(10));
    assert.throws(() => into.more(new Uint8Array(1)), failsWith(Code.ResourceExhausted));
  });

  test("more than may wait without flow control; what was read does not count", () => {
    const into = incoming(undefined, 10);
    into.begin(10, new Uint8Array(10));
    into.read();
    into.begin(20, new Uint8Array(10));
    assert.throws(() => into.more(new Uint8Array(1)), failsWith(Code.ResourceExhausted));
    assert.equal(into.grant(), 0);
  });

  test("more than the size of the message", () => {
    assert.throws(() => incoming(10).begin(1, new Uint8Array(2)), failsWith(Code.Internal));
    const into = incoming(10);
    into.begin(3, new Uint8Array(2));
    assert.throws(() => into.more(new Uint8Array(2)), failsWith(Code.Internal));
    assert.throws(() => incoming(10).more(new Uint8Array(1)), failsWith(Code.Internal));
  });

  test("a message before the end of the last, and an end within one", () => {
    const into = incoming(10);
    into.begin(3, new Uint8Array(2));
    assert.throws(() => into.begin(1, new Uint8Array(1)), failsWith(Code.Internal));
    assert.throws(() => into.end(), failsWith(Code.Internal));
  });

  test("messages without end that take no window", () => {
    const into = incoming(10);
    for (let i = 0; i < maxWaitingMessages; i++) {
      into.begin(0, new Uint8Array());
    }
    assert.throws(() => into.begin(0, new Uint8Array()), failsWith(Code.ResourceExhausted));
    into.read();
    into.begin(0, new Uint8Array());
  });
});

test("small pieces do not take more memory than their bytes", () => {
  const into = incoming(65_536);
  into.begin(60_000, new Uint8Array());
  for (let i = 0; i < 60_000; i++) {
    into.more(new Uint8Array(1));
  }
  let chunks = 0;
  while (into.read() !== undefined) {
    chunks += 1;
  }
  assert.ok(chunks < 20, `${chunks} chunks`);
});
