import { NumberMap } from "../../base/number-map.ts";
import type { EncoderEntry } from "./encoder-table.ts";

/** What an encoded section refers to in the dynamic table. */
export interface SectionReferences {
  readonly requiredInsertCount: number;
  /** The oldest of the entries, which stands for all of them. */
  readonly oldest: EncoderEntry;
}

/**
 * The sections with dynamic references that the peer's decoder has not acknowledged, and what follows from its
 * instructions: which entries are free, how many inserts it has received, which streams may be blocked (RFC 9204 §2.1).
 */
export class UnacknowledgedSections {
  readonly #byStream = new NumberMap<SectionReferences[]>();
  /** Streams that may be blocked, with the largest insert count that one of their sections requires. */
  #atRisk: Map<number, number> | undefined;
  #count = 0;
  #knownReceivedCount = 0;

  /** Sections that are not acknowledged. */
  get count(): number {
    return this.#count;
  }

  /** Inserts that the peer has acknowledged, in whatever way (RFC 9204 §2.1.4). */
  get knownReceivedCount(): number {
    return this.#knownReceivedCount;
  }

  /** How many streams may be blocked. */
  get streamsAtRisk(): number {
    return this.#atRisk?.size ?? 0;
  }

  isAtRisk(streamId: number): boolean {
    return this.#atRisk?.has(streamId) === true;
  }

  add(streamId: number, section: SectionReferences): void {
    section.oldest.pins += 1;
    this.#count += 1;
    const sections = this.#byStream.get(streamId);
    if (sections === undefined) {
      this.#byStream.set(streamId, [section]);
    } else {
      sections.push(section);
    }
    if (section.requiredInsertCount > this.#knownReceivedCount) {
      this.#atRisk ??= new Map();
      const required = Math.max(section.requiredInsertCount, this.#atRisk.get(streamId) ?? 0);
      this.#atRisk.set(streamId, required);
    }
  }

  /** The first section of the stream was decoded; false when there is none (RFC 9204 §4.4.1). */
  acknowledge(streamId: number): boolean {
    const sections = this.#byStream.get(streamId);
    const section = sections?.shift();
    if (sections === undefined || section === undefined) {
      return false;
    }
    if (sections.length === 0) {
      this.#byStream.delete(streamId);
    }
    this.#release(section);
    this.receive(section.requiredInsertCount);
    return true;
  }

  /** No section of the stream will be decoded any more (RFC 9204 §4.4.2). */
  cancel(streamId: number): void {
    this.#byStream.get(streamId)?.forEach((section) => {
      this.#release(section);
    });
    this.#byStream.delete(streamId);
    this.#atRisk?.delete(streamId);
  }

  /** The peer has received the first `insertCount` inserts, if not more. */
  receive(insertCount: number): void {
    if (insertCount <= this.#knownReceivedCount) {
      return;
    }
    this.#knownReceivedCount = insertCount;
    for (const [streamId, required] of this.#atRisk ?? []) {
      if (required <= insertCount) {
        this.#atRisk?.delete(streamId);
      }
    }
  }

  #release(section: SectionReferences): void {
    section.oldest.pins -= 1;
    this.#count -= 1;
  }
}
