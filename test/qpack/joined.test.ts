// The encoder and the decoder joined by a link that delivers each stream in its order, but the streams against each other
// in any: sections before and after the instructions that they need, acknowledgments late, streams cancelled on the way.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Field, FieldSection } from "../../src/http3/qpack/field.ts";
import { type DecodedSection, QpackDecoder } from "../../src/http3/qpack/qpack-decoder.ts";
import { QpackEncoder } from "../../src/http3/qpack/qpack-encoder.ts";
import { Auditor } from "./auditor.ts";

interface Limits {
  readonly maxTableCapacity: number;
  readonly blockedStreams: number;
}

interface SentSection {
  readonly fields: FieldSection;
  readonly bytes: Uint8Array;
}

/** A request stream on its way: sections that were sent and are not decoded, first to last. */
interface StreamInFlight {
  readonly id: number;
  readonly sections: SentSection[];
}

class Link {
  readonly encoder = new QpackEncoder({ maxBlockedStreams: 4 });
  readonly decoder: QpackDecoder;
  readonly #streams: StreamInFlight[] = [];
  #encoderStream: number[] = [];
  #decoderStream: number[] = [];
  #nextId = 0;

  readonly #auditor: Auditor;

  constructor(limits: Limits) {
    this.decoder = new QpackDecoder(limits);
    this.#auditor = new Auditor(limits);
  }

  /** Opens a stream, or goes on with one that is under way, and sends a section. */
  send(choice: number, fields: FieldSection): void {
    const stream = this.#streams[choice] ?? this.#open();
    stream.sections.push({ fields, bytes: this.#encode(stream.id, fields) });
  }

  /** Encodes a section for a stream that never comes to be. */
  sendNever(fields: FieldSection): void {
    this.#encode(this.#nextId, fields);
    this.encoder.cancelStream(this.#nextId);
    this.#auditor.forget(this.#nextId);
    this.#nextId += 4;
  }

  /** The decoder's side gives up a stream; its sections are lost. */
  cancel(choice: number): void {
    const [stream] = this.#streams.splice(choice, 1);
    if (stream !== undefined) {
      this.decoder.cancelStream(stream.id);
    }
  }

  deliverSection(choice: number): void {
    const stream = this.#streams[choice];
    const [section] = stream?.sections ?? [];
    if (stream !== undefined && section !== undefined && !this.decoder.isBlocked(stream.id)) {
      const outcome = this.decoder.decode(stream.id, section.bytes);
      if (outcome.type !== "blocked") {
        this.#arrived(stream, outcome);
      }
    }
  }

  deliverInstructions(count: number): void {
    const bytes = Uint8Array.from(this.#encoderStream.splice(0, count));
    for (const { streamId, outcome } of this.decoder.handleEncoderStream(bytes)) {
      const stream = this.#streams.find(({ id }) => id === streamId);
      assert.ok(stream !== undefined, "nothing comes back of a cancelled stream");
      this.#arrived(stream, outcome);
    }
  }

  deliverAnswers(count: number): void {
    this.#decoderStream.push(...(this.decoder.takeDecoderStream() ?? []));
    const bytes = Uint8Array.from(this.#decoderStream.splice(0, count));
    this.#auditor.hearAnswers(bytes);
    this.encoder.handleDecoderStream(bytes);
  }

  /** Delivers all that is under way. */
  settle(): void {
    this.deliverInstructions(Number.POSITIVE_INFINITY);
    while (this.#streams.length > 0) {
      assert.ok(!this.decoder.isBlocked(this.#streams[0]?.id ?? -1), "nothing is blocked for ever");
      this.deliverSection(0);
    }
    this.deliverAnswers(Number.POSITIVE_INFINITY);
  }

  #encode(streamId: number, fields: FieldSection): Uint8Array {
    const section = this.encoder.encode(streamId, fields);
    const instructions = this.encoder.takeEncoderStream();
    if (instructions !== undefined) {
      this.#auditor.hearInstructions(instructions);
      this.#encoderStream.push(...instructions);
    }
    this.#auditor.hearSection(streamId, section);
    return section;
  }

  #open(): StreamInFlight {
    const stream = { id: this.#nextId, sections: [] };
    this.#nextId += 4;
    this.#streams.push(stream);
    return stream;
  }

  #arrived(stream: StreamInFlight, outcome: DecodedSection): void {
    const section = stream.sections.shift();
    assert.deepEqual(outcome, { type: "fields", fields: section?.fields });
    if (stream.sections.length === 0) {
      this.#streams.splice(this.#streams.indexOf(stream), 1);
    }
  }
}

const limits = fc.record({
  maxTableCapacity: fc.constantFrom(0, 31, 40, 64, 100, 150, 220, 400, 4096),
  blockedStreams: fc.constantFrom(0, 1, 2, 100),
});

/** Few enough fields that they come again, and enough to fill a small table many times. */
const field = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(
      name(),
      fc.nat(6).map((n) => `value ${n}`),
    ),
  },
  { weight: 2, arbitrary: fc.tuple(name(), fc.nat(500).map(String)) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Field>(
      [":method", "POST"],
      [":path", "/service/method"],
      ["authorization", "secret"],
      ["cookie", "a"],
      ["cookie", "a cookie that is long enough to be indexed"],
      ["x-large", "x".repeat(130)],
      ["x-bytes", "\u0000\u0080\u00ff"],
      ["", ""],
    ),
  },
);

function name(): fc.Arbitrary<string> {
  return fc.constantFrom("x-a", "x-b", "x-some-long-name", "content-type", "etag");
}

const section = fc.array(field, { maxLength: 8 });
/** Sections that come again, as the same frozen array: the encoder remembers them. */
const frozenSections = fc.array(
  section.map((fields): FieldSection => Object.freeze(fields)),
  { minLength: 1, maxLength: 3 },
);

type Operation = (link: Link, frozen: readonly FieldSection[]) => void;

const stream = fc.nat(10);

const operation: fc.Arbitrary<Operation> = fc.oneof(
  weighted(6, fc.tuple(stream, section), (link, [choice, fields]) => {
    link.send(choice, fields);
  }),
  weighted(4, fc.tuple(stream, fc.nat(2)), (link, [choice, which], frozen) => {
    link.send(choice, frozen[which] ?? []);
  }),
  weighted(1, section, (link, fields) => {
    link.sendNever(fields);
  }),
  weighted(1, stream, (link, choice) => {
    link.cancel(choice);
  }),
  weighted(10, stream, (link, choice) => {
    link.deliverSection(choice);
  }),
  weighted(6, fc.nat(60), (link, count) => {
    link.deliverInstructions(count);
  }),
  weighted(6, fc.nat(8), (link, count) => {
    link.deliverAnswers(count);
  }),
  weighted(2, fc.constant(undefined), (link) => {
    link.settle();
  }),
  weighted(1, fc.boolean(), (link, writable) => {
    link.encoder.setEncoderStreamWritable(writable);
  }),
);

function weighted<T>(
  weight: number,
  argument: fc.Arbitrary<T>,
  run: (link: Link, argument: T, frozen: readonly FieldSection[]) => void,
): { weight: number; arbitrary: fc.Arbitrary<Operation> } {
  return {
    weight,
    // So that fast-check prints a counterexample as what happens, and not as a function's source.
    arbitrary: argument.map(
      (value): Operation =>
        Object.assign((link: Link, frozen: readonly FieldSection[]) => run(link, value, frozen), {
          [fc.toStringMethod]: () => `${run} with ${fc.stringify(value)}`,
        }),
    ),
  };
}

test("encoder and decoder agree whatever arrives first, is late, or is cancelled", () => {
  fc.assert(
    fc.property(
      limits,
      frozenSections,
      fc.nat(10),
      fc.array(operation, { maxLength: 120, size: "max" }),
      (limits, frozen, settingsAfter, operations) => {
        const link = new Link(limits);
        operations.forEach((operation, index) => {
          if (index === settingsAfter) {
            link.encoder.setPeerLimits(limits);
          }
          operation(link, frozen);
        });
        link.settle();

        // Nothing may be stuck after that: a field that comes again and again ends up in the table.
        link.encoder.setPeerLimits(limits);
        link.encoder.setEncoderStreamWritable(true);
        const field: Field = ["x-afterwards", "always"];
        for (let i = 0; i < 50; i++) {
          link.send(Number.POSITIVE_INFINITY, [field]);
          link.settle();
        }
        const { length } = link.encoder.encode(1_000_000, [field]);
        assert.equal(length === 3, limits.maxTableCapacity >= 64, `${length} bytes`);
      },
    ),
    { numRuns: 1_500 },
  );
});
