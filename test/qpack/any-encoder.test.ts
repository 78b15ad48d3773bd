// Our encoder uses a part of what QPACK allows. Here one plays the other side that uses all of it, at random: every kind of
// reference, any Base, capacities that change, insertions that nobody needs.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { entrySize } from "../../src/http3/qpack/dynamic-table.ts";
import type { Field, FieldSection } from "../../src/http3/qpack/field.ts";
import { PrimitiveWriter } from "../../src/http3/qpack/primitive-writer.ts";
import { QpackDecoder } from "../../src/http3/qpack/qpack-decoder.ts";
import { maxEntriesOf, writeSectionPrefix } from "../../src/http3/qpack/section-prefix.ts";
import { staticTable } from "../../src/http3/qpack/static-table.ts";

const maxTableCapacity = 300;

/** Writes legal QPACK as its choices have it. The table is a plain list: evicted entries stay in it, as undefined. */
class AnyEncoder {
  readonly #entries: (Field | undefined)[] = [];
  #capacity = 0;

  setCapacity(capacity: number): Uint8Array {
    this.#capacity = capacity;
    this.#evictFor(0);
    return new PrimitiveWriter().prefixedInteger(0x20, 5, capacity).take();
  }

  /** An insertion, with the name from wherever `choice` finds it; undefined when it would not fit. */
  insert(choice: number, [name, value]: Field): Uint8Array | undefined {
    const writer = new PrimitiveWriter();
    const present = this.#present();
    const index = present[choice % Math.max(1, present.length)];
    const staticIndex = choice % staticTable.length;
    let field: Field | undefined;
    if (choice % 4 === 0 && index !== undefined) {
      field = this.#entries[index];
      writer.prefixedInteger(0, 5, this.#entries.length - 1 - index);
    } else if (choice % 4 === 1 && index !== undefined) {
      field = [this.#entries[index]?.[0] ?? "", value];
      writer.prefixedInteger(0x80, 6, this.#entries.length - 1 - index).stringLiteral(0, 7, value);
    } else if (choice % 4 === 2) {
      field = [staticTable[staticIndex]?.[0] ?? "", value];
      writer.prefixedInteger(0xc0, 6, staticIndex).stringLiteral(0, 7, value);
    } else {
      field = [name, value];
      writer.stringLiteral(0x40, 5, name).stringLiteral(0, 7, value);
    }
    if (field === undefined || entrySize(field) > this.#capacity) {
      return undefined;
    }
    this.#evictFor(entrySize(field));
    this.#entries.push(field);
    return writer.take();
  }

  /** A section of a line for each choice, with a Base somewhere among the entries. */
  section(baseChoice: number, choices: readonly (readonly [number, Field])[]): EncodedSection {
    const lines = new PrimitiveWriter();
    const fields: Field[] = [];
    const present = this.#present();
    const base = baseChoice % (this.#entries.length + 3);
    let requiredInsertCount = 0;
    for (const [choice, [name, value]] of choices) {
      const never = (choice >> 8) & 1;
      const index = present[choice % Math.max(1, present.length)];
      const entry = index === undefined ? undefined : this.#entries[index];
      const staticIndex = choice % staticTable.length;
      const named: Field = [staticTable[staticIndex]?.[0] ?? "", value];
      if (choice % 5 < 2 && index !== undefined && entry !== undefined) {
        requiredInsertCount = Math.max(requiredInsertCount, index + 1);
        const whole = choice % 5 === 0;
        if (index < base) {
          const [flags, bits] = whole ? ([0x80, 6] as const) : ([0x40 | (never << 5), 4] as const);
          lines.prefixedInteger(flags, bits, base - 1 - index);
        } else {
          const [flags, bits] = whole ? ([0x10, 4] as const) : ([never << 3, 3] as const);
          lines.prefixedInteger(flags, bits, index - base);
        }
        if (!whole) {
          lines.stringLiteral(0, 7, value);
        }
        fields.push(whole ? entry : [entry[0], value]);
      } else if (choice % 5 === 2) {
        lines.prefixedInteger(0xc0, 6, staticIndex);
        fields.push(staticTable[staticIndex] ?? named);
      } else if (choice % 5 === 3) {
        lines.prefixedInteger(0x50 | (never << 5), 4, staticIndex).stringLiteral(0, 7, value);
        fields.push(named);
      } else {
        lines.stringLiteral(0x20 | (never << 4), 3, name).stringLiteral(0, 7, value);
        fields.push([name, value]);
      }
    }
    const writer = new PrimitiveWriter();
    const prefix = { requiredInsertCount, base };
    writeSectionPrefix(writer, prefix, maxEntriesOf(maxTableCapacity));
    return { fields, bytes: writer.append(lines).take(), requiredInsertCount };
  }

  #present(): number[] {
    return [...this.#entries.keys()].filter((index) => this.#entries[index] !== undefined);
  }

  #evictFor(size: number): void {
    const present = this.#present();
    const used = () =>
      this.#entries.reduce((sum, field) => sum + (field === undefined ? 0 : entrySize(field)), 0);
    while (used() + size > this.#capacity) {
      const oldest = present.shift();
      assert.ok(oldest !== undefined);
      this.#entries[oldest] = undefined;
    }
  }
}

interface EncodedSection {
  readonly fields: FieldSection;
  readonly bytes: Uint8Array;
  readonly requiredInsertCount: number;
}

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
      const encoder = new AnyEncoder();
      const decoder = new QpackDecoder({ maxTableCapacity, blockedStreams: 1 });
      let streamId = 0;
      let inserted = 0;
      let acknowledged = 0;
      for (const { capacity, inserts, base, lines, sectionAfter, cut } of steps) {
        const instructions: number[] = [];
        if (capacity !== null) {
          instructions.push(...encoder.setCapacity(capacity));
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
