import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fuzz } from "../../test/support/fuzz.ts";
import { concat, frame, hex, varint } from "../../test/support/http3-peer.ts";
import { FrameReader } from "./frame-reader.ts";

interface Frame {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** How the payload of a frame is taken. */
type Taking = "pieces" | "whole" | "skip";

const anyFrame: fc.Arbitrary<Frame> = fc.record(
  {
    type: fc.oneof(fc.nat(0x40), fc.maxSafeNat()),
    payload: fc.uint8Array({ maxLength: 200 }),
  },
  { noNullPrototype: true },
);

test("frames come out as they went in, wherever their bytes are cut (RFC 9114 §7.1)", () => {
  fc.assert(
    fc.property(
      fc.array(anyFrame, { maxLength: 8 }),
      fc.array(fc.nat(40), { minLength: 1, maxLength: 20 }),
      fc.constantFrom<Taking>("pieces", "whole"),
      (frames, cuts, taking) => {
        const bytes = concat(frames.map(({ type, payload }) => frame(type, payload)));
        const read = readAll(cutUp(bytes, cuts), taking);
        assert.deepEqual(read.frames, frames);
        assert.ok(read.reader.atBoundary);
        assert.equal(read.reader.keptBytes, 0);
      },
    ),
    { numRuns: 3_000 },
  );
});

test("a stream is at a frame boundary exactly when a frame has ended, at every cut", () => {
  const frames = [frame(0x00, hex("0102")), frame(0x4021, hex("03")), frame(0x01), frame(0x40ff)];
  const bytes = concat(frames);
  const ends = new Set([0]);
  let end = 0;
  for (const { length } of frames) {
    end += length;
    ends.add(end);
  }
  for (const taking of ["pieces", "whole", "skip"] as const) {
    for (let at = 0; at <= bytes.length; at += 1) {
      const { reader } = readAll([bytes.subarray(0, at)], taking);
      assert.equal(reader.atBoundary, ends.has(at), `${taking} cut at ${at}`);
    }
  }
});

test("random bytes are frames or the beginning of one, and what is kept is what has come", () => {
  fuzz(
    fc.tuple(
      fc.uint8Array({ maxLength: 60 }),
      fc.array(fc.nat(10), { minLength: 1, maxLength: 5 }),
      fc.constantFrom<Taking>("pieces", "whole", "skip"),
    ),
    ([bytes, cuts, taking]) => {
      const { reader } = readAll(cutUp(bytes, cuts), taking);
      assert.ok(reader.keptBytes <= bytes.length);
      assert.ok(reader.left >= 0);
    },
  );
});

test("lengths and types above 2^53 are read as Infinity", () => {
  const reader = new FrameReader();
  reader.push(concat([varint((1n << 62n) - 1n), varint((1n << 62n) - 1n), hex("01 02")]));
  assert.ok(reader.next());
  assert.equal(reader.type, Number.POSITIVE_INFINITY);
  assert.deepEqual(reader.piece(), hex("01 02"));
  assert.equal(reader.left, Number.POSITIVE_INFINITY);
  assert.equal(reader.atBoundary, false);
});

test("a payload that came in one piece is a view of it", () => {
  const bytes = frame(0x00, hex("010203"));
  for (const take of ["piece", "whole"] as const) {
    const reader = new FrameReader();
    reader.push(bytes);
    reader.next();
    assert.equal(reader[take]()?.buffer, bytes.buffer);
  }
});

function readAll(chunks: readonly Uint8Array[], taking: Taking) {
  const reader = new FrameReader();
  const frames: Frame[] = [];
  let parts: Uint8Array[] | undefined;
  for (const chunk of chunks) {
    reader.push(chunk);
    for (;;) {
      if (parts === undefined) {
        if (!reader.next()) {
          break;
        }
        parts = [];
      }
      const type = reader.type;
      if (taking === "whole") {
        const payload = reader.whole();
        if (payload === undefined) {
          break;
        }
        frames.push({ type, payload });
        parts = undefined;
        continue;
      }
      const piece = taking === "skip" ? reader.skip() : reader.piece();
      if (piece !== undefined) {
        parts.push(piece);
      }
      if (reader.left > 0) {
        break;
      }
      frames.push({ type, payload: concat(parts) });
      parts = undefined;
    }
  }
  return { reader, frames };
}

function cutUp(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (let index = 0; at < bytes.length; index += 1) {
    const length = 1 + (lengths[index % lengths.length] ?? 0);
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}
