import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { InstructionStream } from "./instruction-stream.ts";
import type { PrimitiveReader } from "./primitive-reader.ts";
import { PrimitiveWriter } from "./primitive-writer.ts";
import { Qpack, QpackError } from "./qpack-error.ts";

/** An instruction of the tests: a number and a string. */
function parseInto(seen: [number, string][]): (reader: PrimitiveReader) => void {
  return (reader) => {
    seen.push([reader.prefixedInteger(8), reader.stringLiteral(7, 1_000)]);
  };
}

function write(instructions: readonly (readonly [number, string])[]): Uint8Array {
  const writer = new PrimitiveWriter();
  for (const [number, text] of instructions) {
    writer.prefixedInteger(0, 8, number).stringLiteral(0, 7, text);
  }
  return writer.take();
}

const instruction = fc.tuple(
  fc.maxSafeNat(),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
);

test("InstructionStream finds the same instructions however the stream is cut", () => {
  fc.assert(
    fc.property(
      fc.array(instruction, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1 }),
      (instructions, cuts) => {
        const stream = new InstructionStream(Qpack.ENCODER_STREAM_ERROR);
        const seen: [number, string][] = [];
        const bytes = write(instructions);
        for (let offset = 0, piece = 0; offset < bytes.length; piece++) {
          const end = offset + (cuts[piece % cuts.length] ?? 1);
          stream.feed(bytes.slice(offset, end), parseInto(seen));
          offset = end;
        }
        assert.deepEqual(seen, instructions);
      },
    ),
    { numRuns: 1_000 },
  );
});

test("InstructionStream hands on an instruction as soon as its last byte is there", () => {
  const stream = new InstructionStream(Qpack.ENCODER_STREAM_ERROR);
  const seen: [number, string][] = [];
  const bytes = write([
    [1_000, "first"],
    [7, "second"],
  ]);
  const first = write([[1_000, "first"]]).length;
  for (let i = 0; i < bytes.length; i++) {
    stream.feed(bytes.subarray(i, i + 1), parseInto(seen));
    assert.equal(seen.length, i < first - 1 ? 0 : i < bytes.length - 1 ? 1 : 2);
  }
});

test("F28: InstructionStream keeps no view of what it was fed, a Buffer included", () => {
  const stream = new InstructionStream(Qpack.ENCODER_STREAM_ERROR);
  const seen: [number, string][] = [];
  const bytes = Buffer.from(write([[5, "kept"]]));
  const part = Buffer.from(bytes.subarray(0, 3));
  stream.feed(part, parseInto(seen));
  part.fill(0xff);
  stream.feed(bytes.subarray(3), parseInto(seen));
  assert.deepEqual(seen, [[5, "kept"]]);
});

test("InstructionStream lets the errors of its parser through", () => {
  const stream = new InstructionStream(Qpack.DECODER_STREAM_ERROR);
  assert.throws(
    () =>
      stream.feed(Uint8Array.of(1), (reader) => {
        throw reader.malformed("test");
      }),
    (error) => error instanceof QpackError && error.code === Qpack.DECODER_STREAM_ERROR,
  );
});
