// What a peer may send instead of QPACK: noise, and sensible bytes with faults in them. Whatever it is, it is decoded or
// refused with the error of its stream, and what comes out is within the limits.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type FieldSection, fieldSectionSize } from "../../src/http3/qpack/field.ts";
import { PrimitiveWriter } from "../../src/http3/qpack/primitive-writer.ts";
import { type DecodeOutcome, QpackDecoder } from "../../src/http3/qpack/qpack-decoder.ts";
import { QpackEncoder } from "../../src/http3/qpack/qpack-encoder.ts";
import { Qpack, QpackError } from "../../src/http3/qpack/qpack-error.ts";

const inputsPerRun = 500;

const limits = { maxTableCapacity: 400, blockedStreams: 4, maxFieldSectionSize: 600 };

/** A source of chances that a seed determines (xorshift32): fast-check's own would cost more than what is tested. */
class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  below(limit: number): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return (state >>> 0) % limit;
  }

  bytes(maxLength: number): Uint8Array {
    return Uint8Array.from({ length: this.below(maxLength + 1) }, () => this.below(256));
  }

  /** A copy of `bytes` with up to three faults: a bit turned over, a byte replaced, a piece cut out or said twice. */
  damaged(bytes: Uint8Array): Uint8Array {
    let result = [...bytes];
    for (let faults = this.below(4); faults > 0; faults--) {
      const at = this.below(result.length + 1);
      const end = at + this.below(4);
      const fault = this.below(4);
      if (fault === 0) {
        result[at] = (result[at] ?? 0) ^ (1 << this.below(8));
      } else if (fault === 1) {
        result[at] = [0x00, 0x3f, 0x7f, 0x80, 0xc0, 0xff][this.below(6)] ?? 0;
      } else if (fault === 2) {
        result = [...result.slice(0, at), ...result.slice(end)];
      } else {
        result = [...result.slice(0, end), ...result.slice(at)];
      }
    }
    return Uint8Array.from(result);
  }
}

/** A real conversation: for each section, the instructions before it and the section. */
function conversation(): { instructions: Uint8Array; section: Uint8Array }[] {
  const encoder = new QpackEncoder();
  encoder.setPeerLimits(limits);
  const section = (n: number): FieldSection => [
    [":method", "POST"],
    [":path", `/service/method-${n >> 1}`],
    ["content-type", "application/proto"],
    ["x-trace", `trace ${n}`],
    ["authorization", "a secret"],
  ];
  return Array.from({ length: 6 }, (_, n) => {
    const bytes = encoder.encode(n, section(n));
    return { instructions: encoder.takeEncoderStream() ?? new Uint8Array(0), section: bytes };
  });
}

function checkOutcome(outcome: DecodeOutcome): void {
  if (outcome.type === "fields") {
    assert.ok(fieldSectionSize(outcome.fields) <= limits.maxFieldSectionSize);
  }
}

/** Runs what may throw QpackError with one of `codes`, and nothing else; tells whether it did not. */
function accepts(codes: readonly bigint[], run: () => void): boolean {
  try {
    run();
    return true;
  } catch (error) {
    if (error instanceof QpackError && codes.includes(error.code)) {
      return false;
    }
    throw error;
  }
}

const { ENCODER_STREAM_ERROR, DECODER_STREAM_ERROR, DECOMPRESSION_FAILED } = Qpack;

test("QpackDecoder stands noise for a section", () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const chance = new Chance(seed);
      for (let i = 0; i < inputsPerRun; i++) {
        const decoder = decoderWithEntries();
        accepts([DECOMPRESSION_FAILED], () => checkOutcome(decoder.decode(0, chance.bytes(30))));
      }
    }),
    { numRuns: 110 },
  );
});

test("QpackDecoder stands noise for an encoder stream", () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const chance = new Chance(seed);
      for (let i = 0; i < inputsPerRun; i++) {
        const decoder = decoderWithEntries();
        accepts([ENCODER_STREAM_ERROR], () => {
          decoder.handleEncoderStream(chance.bytes(30));
          decoder.handleEncoderStream(chance.bytes(10));
        });
      }
    }),
    { numRuns: 110 },
  );
});

test("QpackDecoder stands a conversation with faults", () => {
  const talk = conversation();
  const codes = [DECOMPRESSION_FAILED, ENCODER_STREAM_ERROR];
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const chance = new Chance(seed);
      for (let i = 0; i < inputsPerRun; i++) {
        const decoder = new QpackDecoder(limits);
        // Each of the up to twelve pieces is an input of its own.
        talk.every(({ instructions, section }, streamId) =>
          accepts(codes, () => {
            const late = chance.below(3) === 0;
            if (!late) {
              decoder.handleEncoderStream(chance.damaged(instructions));
            }
            checkOutcome(decoder.decode(streamId, chance.damaged(section)));
            if (late) {
              for (const { outcome } of decoder.handleEncoderStream(chance.damaged(instructions))) {
                checkOutcome(outcome);
              }
            }
            if (chance.below(8) === 0) {
              decoder.cancelStream(streamId);
            }
            decoder.takeDecoderStream();
          }),
        );
      }
    }),
    { numRuns: 50 },
  );
});

test("QpackEncoder stands noise and faults for a decoder stream, and goes on encoding", () => {
  // Acknowledges sections of the streams 1 to 3, then inserts, then cancels.
  const answers = new PrimitiveWriter();
  for (const streamId of [1, 2, 3]) {
    answers.prefixedInteger(0x80, 7, streamId);
  }
  const sensible = answers.prefixedInteger(0, 6, 1).prefixedInteger(0x40, 6, 4).take();
  const fields = Array.from({ length: 5 }, (_, n): FieldSection => [["x-name", `value ${n >> 1}`]]);
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const chance = new Chance(seed);
      for (let i = 0; i < inputsPerRun; i++) {
        const encoder = new QpackEncoder();
        encoder.setPeerLimits(limits);
        fields.forEach((section, streamId) => {
          encoder.encode(streamId, section);
        });
        const bytes = chance.below(2) === 0 ? chance.bytes(12) : chance.damaged(sensible);
        if (accepts([DECODER_STREAM_ERROR], () => encoder.handleDecoderStream(bytes))) {
          assert.ok(encoder.encode(9, fields[0] ?? []).length > 2);
        }
      }
    }),
    { numRuns: 210 },
  );
});

function decoderWithEntries(): QpackDecoder {
  const decoder = new QpackDecoder(limits);
  decoder.handleEncoderStream(someEntries);
  return decoder;
}

const someEntries = new PrimitiveWriter()
  .prefixedInteger(0x20, 5, 400)
  .prefixedInteger(0xc0, 6, 1)
  .stringLiteral(0, 7, "/service/method")
  .stringLiteral(0x40, 5, "x-name")
  .stringLiteral(0, 7, "value")
  .prefixedInteger(0, 5, 0)
  .take();
