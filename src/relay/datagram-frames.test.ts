import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { concatBytes } from "../base/bytes.ts";
import { encodeDatagramFrames } from "./datagram-frames.ts";
import { decodeClientFrame } from "./relay-frame.ts";

const peer = new Uint8Array(32).fill(5);

/** The datagrams that a list of frames stands for. */
function datagramsOf(frames: readonly { readonly frame: Uint8Array }[]): Uint8Array[] {
  return frames.flatMap(({ frame }) => {
    const decoded = decodeClientFrame(frame);
    assert.ok(decoded.type === "datagrams");
    assert.deepEqual(decoded.peer, peer);
    return cut(decoded.contents, decoded.segmentSize ?? decoded.contents.length);
  });
}

function cut(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  );
}

test("datagrams of any number and size come out of the frames as they went in", () => {
  const input = fc.tuple(
    fc.integer({ min: 0, max: 200_000 }),
    fc.integer({ min: 40, max: 66_000 }),
  );
  fc.assert(
    fc.property(input, ([length, segmentSize]) => {
      const bytes = Uint8Array.from({ length }, (_, index) => index);
      const frames = encodeDatagramFrames(peer, bytes, segmentSize);
      const expected = cut(bytes, segmentSize).filter((datagram) => datagram.length <= 65_502);
      const found = datagramsOf(frames);
      assert.deepEqual(
        found.map((datagram) => datagram.length),
        expected.map((datagram) => datagram.length),
      );
      assert.ok(Buffer.compare(concatBytes(found), concatBytes(expected)) === 0);
      const counted = frames.reduce((sum, { datagrams }) => sum + datagrams, 0);
      assert.equal(counted, expected.length);
    }),
    { numRuns: 200 },
  );
});

test("as many datagrams as fit share a frame, and one alone has the short form", () => {
  const lengths = (length: number, segmentSize: number): number[] =>
    encodeDatagramFrames(peer, new Uint8Array(length), segmentSize).map(
      ({ frame }) => frame.length,
    );
  assert.deepEqual(lengths(1_200, 1_200), [34 + 1_200]);
  assert.deepEqual(lengths(1_100, 1_200), [34 + 1_100]);
  assert.deepEqual(lengths(1_201, 1_200), [36 + 1_201]);
  assert.deepEqual(lengths(64_800, 1_200), [36 + 64_800]);
  assert.deepEqual(lengths(66_000, 1_200), [36 + 64_800, 34 + 1_200]);
  assert.deepEqual(lengths(1_000, 0), [34 + 1_000]);
  assert.deepEqual(lengths(0, 1_200), []);
});
