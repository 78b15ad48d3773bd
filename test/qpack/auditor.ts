import assert from "node:assert/strict";
import { DynamicTable, type TableEntry } from "../../src/http3/qpack/dynamic-table.ts";
import { PrimitiveReader } from "../../src/http3/qpack/primitive-reader.ts";
import { Qpack } from "../../src/http3/qpack/qpack-error.ts";
import { maxEntriesOf, readSectionPrefix } from "../../src/http3/qpack/section-prefix.ts";
import { staticTable } from "../../src/http3/qpack/static-table.ts";

interface AuditedSection {
  readonly references: ReadonlySet<number>;
  readonly requiredInsertCount: number;
}

interface AuditedEntry extends TableEntry {
  readonly absoluteIndex: number;
}

/**
 * Sits beside an encoder, reads all that it says and hears, and holds it to what RFC 9204 §2.1 asks of encoders. A decoder
 * could not tell: it may be lucky with the order of arrival.
 */
export class Auditor {
  readonly #maxEntries: number;
  readonly #blockedStreams: number;
  readonly #table = new DynamicTable<AuditedEntry>();
  readonly #unacknowledged = new Map<number, AuditedSection[]>();
  #knownReceivedCount = 0;
  #answers: number[] = [];
  /** Entries that sections referred to, counted for each of them. */
  references = 0;

  constructor(limits: { maxTableCapacity: number; blockedStreams: number }) {
    this.#maxEntries = maxEntriesOf(limits.maxTableCapacity);
    this.#blockedStreams = limits.blockedStreams;
  }

  /** Entries ever inserted. */
  get insertCount(): number {
    return this.#table.insertCount;
  }

  /** Entries ever evicted. */
  get evictedCount(): number {
    return this.#table.evictedCount;
  }

  /** Inserts that the encoder knows to have arrived. */
  get knownReceivedCount(): number {
    return this.#knownReceivedCount;
  }

  /** Sections with references that were neither acknowledged nor cancelled. */
  get unacknowledgedSections(): number {
    return [...this.#unacknowledged.values()].reduce((sum, sections) => sum + sections.length, 0);
  }

  /** Whether the encoder may evict the entry now (RFC 9204 §2.1.1). */
  mayEvict(absoluteIndex: number): boolean {
    return (
      absoluteIndex < this.#knownReceivedCount &&
      [...this.#unacknowledged.values()]
        .flat()
        .every(({ references }) => !references.has(absoluteIndex))
    );
  }

  /** Whether the encoder may send a section that needs so many inserts (RFC 9204 §2.1.2). */
  mayRequire(streamId: number, requiredInsertCount: number): boolean {
    const atRisk = new Set(this.#streamsAtRisk());
    return (
      requiredInsertCount <= this.#knownReceivedCount ||
      atRisk.add(streamId).size <= this.#blockedStreams
    );
  }

  /** Whole instructions that the encoder writes. */
  hearInstructions(bytes: Uint8Array): void {
    const reader = new PrimitiveReader(bytes, Qpack.ENCODER_STREAM_ERROR);
    while (reader.remaining > 0) {
      const first = reader.peekU8();
      if (first >= 0x80) {
        const index = reader.prefixedInteger(6);
        const field = first >= 0xc0 ? staticTable[index] : this.#newest(index);
        assert.ok(field !== undefined, `name of entry ${index}`);
        this.#insert(field[0], reader.stringLiteral(7, Number.POSITIVE_INFINITY));
      } else if (first >= 0x40) {
        const name = reader.stringLiteral(5, Number.POSITIVE_INFINITY);
        this.#insert(name, reader.stringLiteral(7, Number.POSITIVE_INFINITY));
      } else if (first >= 0x20) {
        this.#table.setCapacity(reader.prefixedInteger(5), this.#mayEvict);
      } else {
        const field = this.#newest(reader.prefixedInteger(5));
        assert.ok(field !== undefined, "duplicate of an entry that is there");
        this.#insert(field[0], field[1]);
      }
    }
  }

  /** A section that the encoder returns, after the instructions that belong to it. */
  hearSection(streamId: number, bytes: Uint8Array): void {
    const reader = new PrimitiveReader(bytes, Qpack.DECOMPRESSION_FAILED);
    const { requiredInsertCount, base } = readSectionPrefix(
      reader,
      this.#table.insertCount,
      this.#maxEntries,
    );
    const references = new Set<number>();
    const skipValue = () => reader.stringLiteral(7, Number.POSITIVE_INFINITY);
    while (reader.remaining > 0) {
      const first = reader.peekU8();
      if (first >= 0x80) {
        const index = reader.prefixedInteger(6);
        if (first < 0xc0) {
          references.add(base - 1 - index);
        }
      } else if (first >= 0x40) {
        const index = reader.prefixedInteger(4);
        if ((first & 0x10) === 0) {
          references.add(base - 1 - index);
        }
        skipValue();
      } else if (first >= 0x20) {
        reader.stringLiteral(3, Number.POSITIVE_INFINITY);
        skipValue();
      } else if (first >= 0x10) {
        references.add(base + reader.prefixedInteger(4));
      } else {
        references.add(base + reader.prefixedInteger(3));
        skipValue();
      }
    }
    for (const index of references) {
      assert.ok(this.#table.get(index) !== undefined, `entry ${index} is there to refer to`);
    }
    assert.equal(requiredInsertCount, Math.max(-1, ...references) + 1, "no more than is needed");
    this.references += references.size;
    if (references.size > 0) {
      const sections = this.#unacknowledged.get(streamId) ?? [];
      sections.push({ references, requiredInsertCount });
      this.#unacknowledged.set(streamId, sections);
      assert.ok(
        this.#streamsAtRisk().length <= this.#blockedStreams,
        "streams that may be blocked",
      );
    }
  }

  /** What the encoder is told on the decoder stream, cut anywhere. */
  hearAnswers(bytes: Uint8Array): void {
    this.#answers.push(...bytes);
    for (;;) {
      const reader = new PrimitiveReader(
        Uint8Array.from(this.#answers),
        Qpack.DECODER_STREAM_ERROR,
      );
      const first = reader.peek();
      if (first === undefined) {
        return;
      }
      try {
        this.#hearAnswer(first, reader);
      } catch {
        return;
      }
      this.#answers = this.#answers.slice(reader.offset);
    }
  }

  /** The encoder is told that sections were never sent. */
  forget(streamId: number): void {
    this.#unacknowledged.delete(streamId);
  }

  #hearAnswer(first: number, reader: PrimitiveReader): void {
    if (first >= 0x80) {
      const section = this.#unacknowledged.get(reader.prefixedInteger(7))?.shift();
      const count = section?.requiredInsertCount ?? 0;
      this.#knownReceivedCount = Math.max(this.#knownReceivedCount, count);
    } else if (first >= 0x40) {
      this.#unacknowledged.delete(reader.prefixedInteger(6));
    } else {
      this.#knownReceivedCount += reader.prefixedInteger(6);
    }
  }

  #streamsAtRisk(): number[] {
    const isAtRisk = ({ requiredInsertCount }: AuditedSection) =>
      requiredInsertCount > this.#knownReceivedCount;
    return [...this.#unacknowledged].flatMap(([streamId, sections]) =>
      sections.some(isAtRisk) ? [streamId] : [],
    );
  }

  #newest(index: number): readonly [string, string] | undefined {
    return this.#table.get(this.#table.insertCount - 1 - index)?.field;
  }

  #insert(name: string, value: string): void {
    const absoluteIndex = this.#table.insertCount;
    this.#table.insert({ field: [name, value], absoluteIndex }, this.#mayEvict);
  }

  readonly #mayEvict = ({ absoluteIndex }: AuditedEntry): void => {
    assert.ok(absoluteIndex < this.#knownReceivedCount, "an evicted entry was acknowledged");
    for (const [streamId, sections] of this.#unacknowledged) {
      for (const { references } of sections) {
        assert.ok(!references.has(absoluteIndex), `an evicted entry is not in use on ${streamId}`);
      }
    }
  };
}
