import { UnexpectedEndError } from "../../base/byte-reader.ts";
import { DynamicTable, entrySize, type TableEntry } from "./dynamic-table.ts";
import { type Field, type FieldSection, fieldOverhead } from "./field.ts";
import { InstructionStream } from "./instruction-stream.ts";
import { PrimitiveReader } from "./primitive-reader.ts";
import { PrimitiveWriter } from "./primitive-writer.ts";
import { Qpack, QpackError } from "./qpack-error.ts";
import { RecentSections } from "./recent-sections.ts";
import { maxEntriesOf, readSectionPrefix, type SectionPrefix } from "./section-prefix.ts";
import { readFieldLines } from "./section-reader.ts";
import { staticTable } from "./static-table.ts";

/** Limits on what the peer's encoder can make us hold, all of them to be sent as SETTINGS. */
export interface QpackDecoderLimits {
  /** SETTINGS_QPACK_MAX_TABLE_CAPACITY, bytes. 0: the peer cannot use a dynamic table. Default 4096. */
  readonly maxTableCapacity: number;
  /** SETTINGS_QPACK_BLOCKED_STREAMS. Default 16. */
  readonly blockedStreams: number;
  /**
   * SETTINGS_MAX_FIELD_SECTION_SIZE, bytes as RFC 9114 §4.2.2 counts; also the longest encoded section that is looked at.
   * Default 65_536. Blocked sections take at most `blockedStreams` times this.
   */
  readonly maxFieldSectionSize: number;
}

/** A decoded section, or why there is none. */
export type DecodedSection =
  | { readonly type: "fields"; readonly fields: FieldSection }
  /** Above `maxFieldSectionSize`: an error of this stream alone (RFC 9114 §4.2.2); the dynamic table is in order. */
  | { readonly type: "too-large" };

/** What became of an encoded field section; "blocked": a later `handleEncoderStream` will return it. */
export type DecodeOutcome = DecodedSection | { readonly type: "blocked" };

/** A section that was blocked before. */
export interface UnblockedSection {
  readonly streamId: number;
  readonly outcome: DecodedSection;
}

/**
 * The receiving side of QPACK (RFC 9204) of one connection. After calls to it, send what `takeDecoderStream` returns on
 * the decoder stream; the end of the event loop's turn is soon enough.
 */
export class QpackDecoder {
  readonly #limits: QpackDecoderLimits;
  readonly #maxEntries: number;
  readonly #table = new DynamicTable<TableEntry>();
  readonly #recent = new RecentSections();
  readonly #encoderStream = new InstructionStream(Qpack.ENCODER_STREAM_ERROR);
  /** Sections that wait for the encoder stream. */
  #blocked: Map<number, SectionInProgress> | undefined;
  readonly #output = new PrimitiveWriter();
  /** Inserts that the peer knows we have, by what we acknowledged (RFC 9204 §2.1.4). */
  #acknowledgedCount = 0;

  constructor(limits: Partial<QpackDecoderLimits> = {}) {
    this.#limits = { ...defaultLimits, ...limits };
    this.#maxEntries = maxEntriesOf(this.#limits.maxTableCapacity);
  }

  /**
   * Decodes the section of a HEADERS frame. While a stream is blocked nothing else of it may be decoded (RangeError).
   * Equal sections may come back as the same array, which must not be changed. `bytes` is borrowed, and copied when the
   * section is blocked. Throws QpackError (QPACK_DECOMPRESSION_FAILED).
   */
  decode(streamId: number, bytes: Uint8Array): DecodeOutcome {
    if (this.isBlocked(streamId)) {
      throw new RangeError(
        `cannot decode a section: stream ${streamId} is blocked by an earlier one`,
      );
    }
    const recent = this.#recent.find(bytes);
    if (recent !== undefined) {
      this.#acknowledgeSection(streamId, recent.requiredInsertCount);
      return { type: "fields", fields: recent.fields };
    }
    return this.#begin(streamId, bytes);
  }

  /**
   * Takes bytes of the peer's encoder stream, cut anywhere; borrowed. Returns the sections that they unblocked, in the
   * order of their arrival. Throws QpackError: QPACK_ENCODER_STREAM_ERROR, or QPACK_DECOMPRESSION_FAILED from a section
   * that is no longer blocked.
   */
  handleEncoderStream(bytes: Uint8Array): readonly UnblockedSection[] {
    this.#encoderStream.feed(bytes, this.#handleInstruction);
    if (this.#blocked === undefined) {
      return [];
    }
    const unblocked: UnblockedSection[] = [];
    for (const [streamId, section] of this.#blocked) {
      if (section.prefix.requiredInsertCount <= this.#table.insertCount) {
        this.#blocked.delete(streamId);
        unblocked.push({ streamId, outcome: this.#finish(streamId, section) });
      }
    }
    return unblocked;
  }

  /** Whether a section of the stream waits for the encoder stream. */
  isBlocked(streamId: number): boolean {
    return this.#blocked?.has(streamId) === true;
  }

  /**
   * The stream was reset, or we read no more of it, before all its sections were decoded: drops what is blocked and tells
   * the peer's encoder (RFC 9204 §2.2.2.2). Harmless at any other time.
   */
  cancelStream(streamId: number): void {
    this.#blocked?.delete(streamId);
    // Without a table the peer has nothing to release, and may not have expected us to have a decoder stream at all.
    if (this.#limits.maxTableCapacity > 0) {
      this.#output.prefixedInteger(0x40, 6, streamId);
    }
  }

  /** Bytes for the decoder stream; undefined when there are none. */
  takeDecoderStream(): Uint8Array | undefined {
    // Inserts are acknowledged as late as this because a Section Acknowledgment may have done it on the way.
    const increment = this.#table.insertCount - this.#acknowledgedCount;
    if (increment > 0) {
      this.#output.prefixedInteger(0, 6, increment);
      this.#acknowledgedCount = this.#table.insertCount;
    }
    if (this.#output.length === 0) {
      return undefined;
    }
    return this.#output.take();
  }

  #begin(streamId: number, bytes: Uint8Array): DecodeOutcome {
    const reader = new PrimitiveReader(bytes, Qpack.DECOMPRESSION_FAILED);
    const { insertCount } = this.#table;
    const prefix = whole(() => readSectionPrefix(reader, insertCount, this.#maxEntries));
    if (prefix.requiredInsertCount <= insertCount) {
      return this.#finish(streamId, { bytes, prefix, linesOffset: reader.offset });
    }
    if (bytes.length > this.#limits.maxFieldSectionSize) {
      // It is given up at once, so that the peer may release its entries.
      this.cancelStream(streamId);
      return { type: "too-large" };
    }
    this.#blocked ??= new Map();
    if (this.#blocked.size >= this.#limits.blockedStreams) {
      throw new QpackError(
        Qpack.DECOMPRESSION_FAILED,
        `cannot hold another blocked stream: ${this.#limits.blockedStreams} is the limit`,
      );
    }
    const copy = new Uint8Array(bytes);
    this.#blocked.set(streamId, { bytes: copy, prefix, linesOffset: reader.offset });
    return { type: "blocked" };
  }

  /** Decodes a section when all that it requires is there. */
  #finish(streamId: number, { bytes, prefix, linesOffset }: SectionInProgress): DecodedSection {
    const { maxFieldSectionSize } = this.#limits;
    const reader = new PrimitiveReader(bytes, Qpack.DECOMPRESSION_FAILED, linesOffset);
    const context = { reader, prefix, table: this.#table };
    const fields =
      bytes.length > maxFieldSectionSize
        ? undefined
        : whole(() => readFieldLines(context, maxFieldSectionSize));
    this.#acknowledgeSection(streamId, prefix.requiredInsertCount);
    if (fields === undefined) {
      return { type: "too-large" };
    }
    this.#recent.add(bytes, prefix.requiredInsertCount, fields);
    return { type: "fields", fields };
  }

  #acknowledgeSection(streamId: number, requiredInsertCount: number): void {
    if (requiredInsertCount > 0) {
      this.#output.prefixedInteger(0x80, 7, streamId);
      this.#acknowledgedCount = Math.max(this.#acknowledgedCount, requiredInsertCount);
    }
  }

  // Instructions of the encoder stream (RFC 9204 §4.3), by their first bits:
  //
  //   1T index(6) value(7)       Insert with Name Reference: static where T is set, else dynamic
  //   01 name(5) value(7)        Insert with Literal Name
  //   001 capacity(5)            Set Dynamic Table Capacity
  //   000 index(5)               Duplicate
  readonly #handleInstruction = (reader: PrimitiveReader): void => {
    const first = reader.peekU8();
    if (first >= 0x80) {
      const index = reader.prefixedInteger(6);
      const [name] =
        (first & 0x40) !== 0 ? this.#static(reader, index) : this.#newest(reader, index);
      this.#insertLiteral(reader, name);
    } else if (first >= 0x40) {
      this.#insertLiteral(reader, reader.stringLiteral(5, this.#table.capacity - fieldOverhead));
    } else if (first >= 0x20) {
      this.#setCapacity(reader, reader.prefixedInteger(5));
    } else {
      this.#insert(reader, this.#newest(reader, reader.prefixedInteger(5)));
    }
  };

  #static(reader: PrimitiveReader, index: number): Field {
    const field = staticTable[index];
    if (field === undefined) {
      throw reader.malformed(`static index ${index}`);
    }
    return field;
  }

  /** @param index counts back from the last insertion */
  #newest(reader: PrimitiveReader, index: number): Field {
    const entry = this.#table.get(this.#table.insertCount - 1 - index);
    if (entry === undefined) {
      throw reader.malformed(`dynamic index ${index}`);
    }
    return entry.field;
  }

  #insertLiteral(reader: PrimitiveReader, name: string): void {
    const value = reader.stringLiteral(7, this.#table.capacity - fieldOverhead - name.length);
    this.#insert(reader, [name, value]);
  }

  #insert(reader: PrimitiveReader, field: Field): void {
    if (entrySize(field) > this.#table.capacity) {
      throw reader.malformed(
        `entry of ${entrySize(field)} bytes, capacity ${this.#table.capacity}`,
      );
    }
    this.#table.insert({ field });
    this.#recent.clear();
  }

  #setCapacity(reader: PrimitiveReader, capacity: number): void {
    if (capacity > this.#limits.maxTableCapacity) {
      throw reader.malformed(`capacity ${capacity}, limit ${this.#limits.maxTableCapacity}`);
    }
    this.#table.setCapacity(capacity);
    this.#recent.clear();
  }
}

interface SectionInProgress {
  readonly bytes: Uint8Array;
  readonly prefix: SectionPrefix;
  /** Where the field lines begin. */
  readonly linesOffset: number;
}

/** Reads from a section, which is complete: where it ends too early it is malformed. */
function whole<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof UnexpectedEndError) {
      throw new QpackError(Qpack.DECOMPRESSION_FAILED, `truncated field section: ${error.message}`);
    }
    throw error;
  }
}

const defaultLimits: QpackDecoderLimits = {
  maxTableCapacity: 4096,
  blockedStreams: 16,
  maxFieldSectionSize: 65_536,
};
