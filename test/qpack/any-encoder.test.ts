// Our encoder uses a part of what QPACK allows. Here one plays the other side that uses all of it, at random: every kind of
// reference, any Base, capacities that change, insertions that nobody needs.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Field } from "../../src/http3/qpack/field.ts";
import { type DecodedSection, QpackDecoder } from "../../src/http3/qpack/qpack-decoder.ts";
import { AnyEncoder, type EncodedSection } from "./any-encoder.ts";
import { Auditor } from "./auditor.ts";

const maxTableCapacity = 300;

const text = fc.oneof(
  fc.string({ maxLength: 20 }).map((value) => value.replace(/[^\0-\xff]/g, "")),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString("latin1")),
);
const field = fc.tuple(text, text);
const step = fc.record({
  capacity: fc.option(fc.nat(maxTableCapacity), { freq: 6 }),
  inserts: fc.array(fc.tuple(fc.nat(4_095), field), { maxLength: 6 }),
  base: fc.nat(4_095),
  lines: fc.array(fc.tuple(fc.nat(4_095), field), { maxLength: 8 }),
  /** The section arrives after this many bytes of the instructions before it. */
  sectionAfter: fc.nat(60),
  cut: fc.integer({ min: 1, max: 40 }),
});

test("QpackDecoder reads whatever an encoder may write, cut anywhere, the section before what it needs", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12, size: "max" }), (steps) => {
      const encoder = new AnyEncoder(maxTableCapacity, () => true);
      const decoder = new QpackDecoder({ maxTableCapacity, blockedStreams: 1 });
      let streamId = 0;
      let inserted = 0;
      let acknowledged = 0;
      for (const { capacity, inserts, base, lines, sectionAfter, cut } of steps) {
        const instructions: number[] = [];
        if (capacity !== null) {
          instructions.push(...(encoder.setCapacity(capacity) ?? []));
        }
        for (const [choice, inserting] of inserts) {
          const bytes = encoder.insert(choice, inserting);
          inserted += bytes === undefined ? 0 : 1;
          instructions.push(...(bytes ?? []));
        }
        const section = encoder.section(base, lines);
        const expected = { type: "fields", fields: section.fields };

        const feed = (bytes: readonly number[]) => {
          const unblocked = [];
          for (let at = 0; at < bytes.length; at += cut) {
            unblocked.push(
              ...decoder.handleEncoderStream(Uint8Array.from(bytes.slice(at, at + cut))),
            );
          }
          return unblocked;
        };
        // A section without references may be decoded at any time, one with them blocks until all is there.
        assert.deepEqual(feed(instructions.slice(0, sectionAfter)), []);
        const outcome = decoder.decode(streamId, section.bytes);
        const unblocked = feed(instructions.slice(sectionAfter));
        if (outcome.type === "blocked") {
          assert.ok(section.requiredInsertCount > 0);
          assert.deepEqual(unblocked, [{ streamId, outcome: expected }]);
        } else {
          assert.deepEqual(outcome, expected);
          assert.deepEqual(unblocked, []);
        }
        acknowledged = countAcknowledged(decoder, acknowledged, streamId, section);
        assert.equal(acknowledged, inserted);
        streamId += 4;
      }
    }),
    { numRuns: 2_000 },
  );
});

/** Checks what the decoder sends after a section; returns how many inserts it has acknowledged by then. */
function countAcknowledged(
  decoder: QpackDecoder,
  before: number,
  streamId: number,
  { requiredInsertCount }: EncodedSection,
): number {
  const answers = [...(decoder.takeDecoderStream() ?? [])];
  let acknowledged = before;
  if (requiredInsertCount > 0) {
    assert.equal(answers.shift(), 0x80 | streamId);
    acknowledged = Math.max(acknowledged, requiredInsertCount);
  }
  const increment = answers.shift() ?? 0;
  assert.ok(increment < 0x40);
  assert.deepEqual(answers, []);
  return acknowledged + increment;
}

/** AnyEncoder and a decoder with several streams between them, which keep their own order alone. */
class Link {
  readonly decoder: QpackDecoder;
  readonly #auditor: Auditor;
  readonly #encoder: AnyEncoder;
  readonly #blockedStreams: number;
  /** Sections that were sent and are not decoded, first to last. */
  readonly #streams: { readonly id: number; readonly sections: EncodedSection[] }[] = [];
  #encoderStream: number[] = [];
  #decoderStream: number[] = [];
  #nextId = 0;

  constructor(blockedStreams: number) {
    const limits = { maxTableCapacity, blockedStreams };
    this.decoder = new QpackDecoder(limits);
    this.#auditor = new Auditor(limits);
    this.#encoder = new AnyEncoder(maxTableCapacity, (index) => this.#auditor.mayEvict(index));
    this.#blockedStreams = blockedStreams;
  }

  setCapacity(capacity: number): void {
    this.#say(this.#encoder.setCapacity(capacity));
  }

  insert(choice: number, field: Field): void {
    this.#say(this.#encoder.insert(choice, field));
  }

  /** Sends a section, unless it might block more streams than may be. */
  send(choice: number, base: number, lines: readonly (readonly [number, Field])[]): void {
    const section = this.#encoder.section(base, lines);
    const stream = this.#streams[choice] ?? { id: this.#nextId, sections: [] };
    if (this.#auditor.mayRequire(stream.id, section.requiredInsertCount)) {
      if (stream.id === this.#nextId) {
        this.#nextId += 4;
        this.#streams.push(stream);
      }
      this.#auditor.hearSection(stream.id, section.bytes);
      stream.sections.push(section);
    }
  }

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
        this.#arrived(stream.id, outcome);
      }
    }
    const blocked = this.#streams.filter(({ id }) => this.decoder.isBlocked(id));
    assert.ok(blocked.length <= this.#blockedStreams);
    seen.blocked += blocked.length;
  }

  deliverInstructions(count: number): void {
    const bytes = Uint8Array.from(this.#encoderStream.splice(0, count));
    for (const { streamId, outcome } of this.decoder.handleEncoderStream(bytes)) {
      this.#arrived(streamId, outcome);
    }
  }

  deliverAnswers(count: number): void {
    this.#decoderStream.push(...(this.decoder.takeDecoderStream() ?? []));
    this.#auditor.hearAnswers(Uint8Array.from(this.#decoderStream.splice(0, count)));
  }

  /** Delivers all that is under way; then nothing is blocked or waits for an acknowledgment. */
  settle(): void {
    this.deliverInstructions(Number.POSITIVE_INFINITY);
    while (this.#streams.length > 0) {
      assert.ok(!this.decoder.isBlocked(this.#streams[0]?.id ?? -1), "nothing is blocked for ever");
      this.deliverSection(0);
    }
    this.deliverAnswers(Number.POSITIVE_INFINITY);
    assert.equal(this.#auditor.unacknowledgedSections, 0);
    assert.equal(this.#auditor.knownReceivedCount, this.#auditor.insertCount);
    seen.evicted += this.#auditor.evictedCount;
  }

  #say(instructions: Uint8Array | undefined): void {
    if (instructions !== undefined) {
      this.#auditor.hearInstructions(instructions);
      this.#encoderStream.push(...instructions);
    }
  }

  #arrived(streamId: number, outcome: DecodedSection): void {
    const index = this.#streams.findIndex(({ id }) => id === streamId);
    const { sections = [] } = this.#streams[index] ?? {};
    assert.deepEqual(outcome, { type: "fields", fields: sections.shift()?.fields });
    if (sections.length === 0) {
      this.#streams.splice(index, 1);
    }
  }
}

/** What the runs had in them, so that it can be told whether they were worth it. */
const seen = { blocked: 0, evicted: 0 };

const stream = fc.nat(8);
const act: fc.Arbitrary<(link: Link) => void> = fc.oneof(
  weighted(1, fc.nat(maxTableCapacity), (link, capacity) => link.setCapacity(capacity)),
  weighted(4, fc.tuple(fc.nat(4_095), field), (link, [choice, inserted]) => {
    link.insert(choice, inserted);
  }),
  weighted(
    4,
    fc.tuple(stream, fc.nat(4_095), fc.array(fc.tuple(fc.nat(4_095), field), { maxLength: 4 })),
    (link, [choice, base, lines]) => link.send(choice, base, lines),
  ),
  weighted(1, stream, (link, choice) => link.cancel(choice)),
  weighted(6, stream, (link, choice) => link.deliverSection(choice)),
  weighted(3, fc.nat(30), (link, count) => link.deliverInstructions(count)),
  weighted(4, fc.nat(8), (link, count) => link.deliverAnswers(count)),
);

function weighted<T>(
  weight: number,
  argument: fc.Arbitrary<T>,
  run: (link: Link, argument: T) => void,
) {
  const arbitrary = argument.map((value) =>
    // So that fast-check prints a counterexample as what happens.
    Object.assign((link: Link) => run(link, value), {
      [fc.toStringMethod]: () => `${run} with ${fc.stringify(value)}`,
    }),
  );
  return { weight, arbitrary };
}

test("QpackDecoder keeps up with an encoder that changes the capacity while sections are on their way (RFC 9204 §3.2.3)", () => {
  const numRuns = process.env.CONNECT_QUIC_TEST === "slow" ? 30_000 : 1_000;
  fc.assert(
    fc.property(
      fc.constantFrom(0, 1, 3, 8),
      fc.array(act, { maxLength: 200, size: "max" }),
      (blockedStreams, acts) => {
        const link = new Link(blockedStreams);
        link.setCapacity(maxTableCapacity);
        for (const run of acts) {
          run(link);
        }
        link.settle();
      },
    ),
    { numRuns },
  );
  assert.ok(seen.blocked > numRuns / 4 && seen.evicted > numRuns / 4, JSON.stringify(seen));
});
