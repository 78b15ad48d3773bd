import { entrySize } from "./dynamic-table.ts";
import { type EncoderEntry, EncoderTable } from "./encoder-table.ts";
import type { Field, FieldSection } from "./field.ts";
import { InstructionStream } from "./instruction-stream.ts";
import type { PrimitiveReader } from "./primitive-reader.ts";
import { PrimitiveWriter } from "./primitive-writer.ts";
import { Qpack } from "./qpack-error.ts";
import { maxEntriesOf, writeSectionPrefix } from "./section-prefix.ts";
import { SeenFields } from "./seen-fields.ts";
import { isSensitiveField } from "./sensitive-fields.ts";
import { type StaticName, staticNames } from "./static-table.ts";
import { type SectionReferences, UnacknowledgedSections } from "./unacknowledged-sections.ts";

export interface QpackEncoderOptions {
  /** Bytes of the peer's dynamic table that we use at most. 0 turns it off. Default 4096. */
  readonly maxTableCapacity: number;
  /** Streams that our sections may make wait for the encoder stream, at most (RFC 9204 §2.1.2). Default 16. */
  readonly maxBlockedStreams: number;
  /**
   * Sections that a peer may leave without acknowledgment; while there are as many, new ones go without the dynamic table.
   * We remember about 100 bytes for each. Default 4096.
   */
  readonly maxUnacknowledgedSections: number;
  /** Which fields must not be compressed, nor indexed by an intermediary. Default {@link isSensitiveField}. */
  readonly isSensitive: (name: string, value: string) => boolean;
}

/** What the peer's SETTINGS allow us; both are 0 where they say nothing (RFC 9204 §5). */
export interface QpackPeerLimits {
  /** SETTINGS_QPACK_MAX_TABLE_CAPACITY, bytes. */
  readonly maxTableCapacity: number;
  /** SETTINGS_QPACK_BLOCKED_STREAMS. */
  readonly blockedStreams: number;
}

/**
 * The sending side of QPACK (RFC 9204) of one connection. For each section: `encode` it, send what `takeEncoderStream`
 * returns on the encoder stream, then send the section. What the peer's decoder stream brings goes to
 * `handleDecoderStream`.
 *
 * A field enters the dynamic table when it is met again; secrets never do.
 */
export class QpackEncoder {
  readonly #options: QpackEncoderOptions;
  readonly #table = new EncoderTable();
  readonly #sent = new UnacknowledgedSections();
  /** The streams that the peer cancelled last. What is still sent on them nobody decodes, nor acknowledges. */
  #cancelled: Set<number> | undefined;
  readonly #decoderStream = new InstructionStream(Qpack.DECODER_STREAM_ERROR);
  readonly #seen = new SeenFields();
  #remembered = new WeakMap<FieldSection, EncodedSection>();
  #instructionsWritable = true;
  /** What the peer's SETTINGS say, and how much of it we use. */
  #peerMaxTableCapacity = 0;
  #blockedStreams = 0;
  #sectionCount = 0;

  constructor(options: Partial<QpackEncoderOptions> = {}) {
    this.#options = { ...defaultOptions, ...options };
  }

  /**
   * The peer's SETTINGS arrived, or are remembered from an earlier connection; until then there is no dynamic table.
   * Throws RangeError when the capacity changes after the table was used: such SETTINGS are an error (RFC 9204 §3.2.3).
   */
  setPeerLimits({ maxTableCapacity, blockedStreams }: QpackPeerLimits): void {
    if (maxTableCapacity !== this.#peerMaxTableCapacity && this.#table.insertCount > 0) {
      throw new RangeError(
        `cannot change the table's capacity from ${this.#peerMaxTableCapacity} to ${maxTableCapacity}: it is in use`,
      );
    }
    this.#peerMaxTableCapacity = maxTableCapacity;
    this.#table.capacity = Math.min(maxTableCapacity, this.#options.maxTableCapacity);
    this.#blockedStreams = Math.min(blockedStreams, this.#options.maxBlockedStreams);
    this.#remembered = new WeakMap();
  }

  /**
   * Encodes a section. One whose array is frozen (`Object.freeze`) is remembered: to encode it again takes a look-up.
   * The result may be shared between calls and must not be changed. Throws RangeError for a char above U+00FF.
   */
  encode(streamId: number, fields: FieldSection): Uint8Array {
    this.#sectionCount += 1;
    const mayRefer = this.#cancelled?.has(streamId) !== true;
    const mayBlock = this.#mayBlock(streamId);
    const remembered = this.#remembered.get(fields);
    if (remembered !== undefined && this.#isUsable(remembered, mayRefer, mayBlock)) {
      this.#account(streamId, remembered);
      return remembered.bytes;
    }
    const section = new SectionInProgress(this.#table.insertCount, mayRefer, mayBlock);
    lines.clear();
    for (const field of fields) {
      this.#encodeField(field, section);
    }
    const encoded = this.#finish(section);
    this.#account(streamId, encoded);
    if (section.settled && Object.isFrozen(fields)) {
      this.#remembered.set(fields, encoded);
    }
    return encoded.bytes;
  }

  /** Bytes for the encoder stream, to be sent before the sections encoded since; undefined when there are none. */
  takeEncoderStream(): Uint8Array | undefined {
    return this.#table.takeInstructions();
  }

  /**
   * Says whether the peer gives the encoder stream credit. While it does not, sections get by with what the peer has
   * already acknowledged, so that none of them waits for flow control (RFC 9204 §2.1.3). True at first.
   */
  setEncoderStreamWritable(writable: boolean): void {
    this.#instructionsWritable = writable;
  }

  /** Takes bytes of the peer's decoder stream, cut anywhere. Throws QpackError (QPACK_DECODER_STREAM_ERROR). */
  handleDecoderStream(bytes: Uint8Array): void {
    this.#decoderStream.feed(bytes, this.#handleInstruction);
  }

  /**
   * What was encoded for this stream was never written to it and never will be. Not for a stream that is reset after the
   * section was written: there the peer's decoder tells what became of it (RFC 9204 §2.2.2.2).
   */
  cancelStream(streamId: number): void {
    this.#sent.cancel(streamId);
  }

  #mayBlock(streamId: number): boolean {
    return (
      this.#instructionsWritable &&
      (this.#sent.isAtRisk(streamId) || this.#sent.streamsAtRisk < this.#blockedStreams)
    );
  }

  #isUsable({ references }: EncodedSection, mayRefer: boolean, mayBlock: boolean): boolean {
    return (
      references === undefined ||
      (mayRefer &&
        this.#table.isReferable(references.oldest) &&
        (mayBlock || references.requiredInsertCount <= this.#sent.knownReceivedCount) &&
        this.#sent.count < this.#options.maxUnacknowledgedSections)
    );
  }

  /** Takes note that an encoded section will be sent. */
  #account(streamId: number, { references, entries }: EncodedSection): void {
    if (references !== undefined) {
      this.#sent.add(streamId, references);
      for (const entry of entries) {
        entry.lastUse = this.#sectionCount;
      }
    }
  }

  #encodeField(field: Field, section: SectionInProgress): void {
    const [name, value] = field;
    const staticName = staticNames.get(name);
    if (this.#options.isSensitive(name, value)) {
      this.#writeLiteral(field, staticName, section, { neverIndexed: true });
      return;
    }
    const staticIndex = staticName?.values.get(value);
    if (staticIndex !== undefined) {
      lines.prefixedInteger(0xc0, 6, staticIndex);
      return;
    }
    const entry = this.#entryFor(field, section);
    if (entry === undefined) {
      this.#writeLiteral(field, staticName, section, { neverIndexed: false });
    } else if (entry.absoluteIndex < section.base) {
      lines.prefixedInteger(0x80, 6, section.base - 1 - entry.absoluteIndex);
    } else {
      lines.prefixedInteger(0x10, 4, entry.absoluteIndex - section.base);
    }
  }

  #writeLiteral(
    [name, value]: Field,
    staticName: StaticName | undefined,
    section: SectionInProgress,
    { neverIndexed }: { neverIndexed: boolean },
  ): void {
    const entry = staticName === undefined ? this.#table.named(name)?.newest : undefined;
    if (staticName !== undefined) {
      lines.prefixedInteger(neverIndexed ? 0x70 : 0x50, 4, staticName.index);
    } else if (entry === undefined || !this.#refer(entry, section)) {
      lines.stringLiteral(neverIndexed ? 0x30 : 0x20, 3, name);
    } else if (entry.absoluteIndex < section.base) {
      lines.prefixedInteger(neverIndexed ? 0x60 : 0x40, 4, section.base - 1 - entry.absoluteIndex);
    } else {
      lines.prefixedInteger(neverIndexed ? 0x08 : 0, 3, entry.absoluteIndex - section.base);
    }
    lines.stringLiteral(0, 7, value);
  }

  /** The entry that stands for the field in this section, inserted if need be; undefined: it has to go literally. */
  #entryFor(field: Field, section: SectionInProgress): EncoderEntry | undefined {
    if (entrySize(field) > this.#table.capacity || !section.mayRefer) {
      return undefined;
    }
    const [name, value] = field;
    const known = this.#table.named(name)?.values.get(value);
    if (known !== undefined) {
      known.lastUse = this.#sectionCount;
    }
    if (known !== undefined && this.#refer(known, section)) {
      return known;
    }
    section.settled = false;
    const entry = this.#bringIn(field, known, section);
    return entry !== undefined && this.#refer(entry, section) ? entry : undefined;
  }

  /** Inserts the field, or moves its entry away from where it is draining, if that can and should be done. */
  #bringIn(
    field: Field,
    known: EncoderEntry | undefined,
    section: SectionInProgress,
  ): EncoderEntry | undefined {
    const worthIt =
      known === undefined ? this.#isWorthInserting(field) : !this.#table.isReferable(known);
    if (!worthIt || !this.#instructionsWritable) {
      return undefined;
    }
    const progress = {
      section: this.#sectionCount,
      oldestReferred: section.oldest?.absoluteIndex ?? Number.POSITIVE_INFINITY,
      knownReceivedCount: this.#sent.knownReceivedCount,
    };
    return known === undefined
      ? this.#table.insert(field, progress)
      : this.#table.refresh(known, progress);
  }

  /** Makes the section refer to the entry, if it may. */
  #refer(entry: EncoderEntry, section: SectionInProgress): boolean {
    const allowed =
      section.mayRefer &&
      this.#table.isReferable(entry) &&
      (section.mayBlock || entry.absoluteIndex < this.#sent.knownReceivedCount) &&
      this.#sent.count < this.#options.maxUnacknowledgedSections;
    if (allowed) {
      section.refer(entry);
    }
    return allowed;
  }

  /** A field is, when it was met before; or when its name would be spelled out again and again. */
  #isWorthInserting([name, value]: Field): boolean {
    const met = this.#seen.meet(name, value);
    const nameMet =
      !staticNames.has(name) && this.#table.named(name) === undefined && this.#seen.meet(name, "");
    return met || nameMet;
  }

  #finish(section: SectionInProgress): EncodedSection {
    const { base, oldest, requiredInsertCount, entries } = section;
    const prefix =
      oldest === undefined ? { requiredInsertCount: 0, base: 0 } : { requiredInsertCount, base };
    writeSectionPrefix(wholeSection, prefix, maxEntriesOf(this.#peerMaxTableCapacity));
    const bytes = wholeSection.append(lines).take();
    const references = oldest === undefined ? undefined : { requiredInsertCount, oldest };
    return { bytes, references, entries };
  }

  /** The peer may cancel a stream before we send on it, or before we hear that it reads no more of it. */
  #cancelledByPeer(streamId: number): void {
    this.#sent.cancel(streamId);
    this.#cancelled ??= new Set();
    this.#cancelled.add(streamId);
    for (const oldest of this.#cancelled) {
      if (this.#cancelled.size <= maxCancelledStreams) {
        break;
      }
      this.#cancelled.delete(oldest);
    }
  }

  // Instructions of the decoder stream (RFC 9204 §4.4), by their first bits:
  //
  //   1 stream id(7)       Section Acknowledgment
  //   01 stream id(6)      Stream Cancellation
  //   00 increment(6)      Insert Count Increment
  readonly #handleInstruction = (reader: PrimitiveReader): void => {
    const first = reader.peekU8();
    if (first >= 0x80) {
      const streamId = reader.prefixedInteger(7);
      if (!this.#sent.acknowledge(streamId)) {
        throw reader.malformed(
          `acknowledgment of a section on stream ${streamId} that was not sent`,
        );
      }
    } else if (first >= 0x40) {
      this.#cancelledByPeer(reader.prefixedInteger(6));
    } else {
      const increment = reader.prefixedInteger(6);
      const insertCount = this.#sent.knownReceivedCount + increment;
      if (increment === 0 || insertCount > this.#table.insertCount) {
        throw reader.malformed(`insert count increment ${increment}`);
      }
      this.#sent.receive(insertCount);
    }
  };
}

interface EncodedSection {
  readonly bytes: Uint8Array;
  /** Undefined when it refers to no dynamic entry. */
  readonly references: SectionReferences | undefined;
  readonly entries: readonly EncoderEntry[];
}

/** What is known of a section while its fields are encoded. */
class SectionInProgress {
  readonly base: number;
  /** Whether it may refer to entries at all. */
  readonly mayRefer: boolean;
  /** Whether it may refer to entries that the peer has perhaps not received. */
  readonly mayBlock: boolean;
  readonly entries: EncoderEntry[] = [];
  oldest: EncoderEntry | undefined;
  requiredInsertCount = 0;
  /** False when a later encoding of the same fields may come out shorter. */
  settled: boolean;

  constructor(base: number, mayRefer: boolean, mayBlock: boolean) {
    this.base = base;
    this.mayRefer = mayRefer;
    this.settled = mayRefer;
    this.mayBlock = mayBlock;
  }

  refer(entry: EncoderEntry): void {
    this.entries.push(entry);
    if (this.oldest === undefined || entry.absoluteIndex < this.oldest.absoluteIndex) {
      this.oldest = entry;
    }
    this.requiredInsertCount = Math.max(this.requiredInsertCount, entry.absoluteIndex + 1);
  }
}

/** The field lines of the section that is being encoded, by whichever encoder; what stands before them is known last. */
const lines = new PrimitiveWriter();
const wholeSection = new PrimitiveWriter();

/** How many cancelled streams are remembered. For one that is forgotten, what is still sent on it holds its references. */
const maxCancelledStreams = 256;

const defaultOptions: QpackEncoderOptions = {
  maxTableCapacity: 4096,
  maxBlockedStreams: 16,
  maxUnacknowledgedSections: 4096,
  isSensitive: isSensitiveField,
};
