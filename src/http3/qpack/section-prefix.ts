// What stands before the field lines of an encoded field section (RFC 9204 §4.5.1):
//
//     0   1   2   3   4   5   6   7
//   +---+---+---+---+---+---+---+---+
//   |   Required Insert Count (8+)  |   modulo twice the most entries that the table could have, plus one; or 0
//   +---+---------------------------+
//   | S |      Delta Base (7+)      |   Base = Required Insert Count + Delta Base, or - Delta Base - 1 where S is set
//   +---+---------------------------+

import { fieldOverhead } from "./field.ts";
import type { PrimitiveReader } from "./primitive-reader.ts";
import type { PrimitiveWriter } from "./primitive-writer.ts";

export interface SectionPrefix {
  /** How many entries must have been inserted before the section can be decoded; 0: it refers to none. */
  readonly requiredInsertCount: number;
  /** What relative and post-base indices count from, as an absolute index. */
  readonly base: number;
}

/** The most entries that a table of this capacity can hold (RFC 9204 §4.5.1.1). */
export function maxEntriesOf(maxTableCapacity: number): number {
  return Math.floor(maxTableCapacity / fieldOverhead);
}

export function writeSectionPrefix(
  writer: PrimitiveWriter,
  { requiredInsertCount, base }: SectionPrefix,
  maxEntries: number,
): void {
  const encoded = requiredInsertCount === 0 ? 0 : (requiredInsertCount % (2 * maxEntries)) + 1;
  writer.prefixedInteger(0, 8, encoded);
  if (base >= requiredInsertCount) {
    writer.prefixedInteger(0, 7, base - requiredInsertCount);
  } else {
    writer.prefixedInteger(0x80, 7, requiredInsertCount - base - 1);
  }
}

/** @param insertCount entries inserted so far: tells which of the values with the same remainder is meant */
export function readSectionPrefix(
  reader: PrimitiveReader,
  insertCount: number,
  maxEntries: number,
): SectionPrefix {
  const encoded = reader.prefixedInteger(8);
  const requiredInsertCount = encoded === 0 ? 0 : unwrap(encoded, insertCount, maxEntries);
  if (requiredInsertCount === undefined) {
    throw reader.malformed(`required insert count ${encoded} after ${insertCount} inserts`);
  }
  const negative = (reader.peekU8() & 0x80) !== 0;
  const delta = reader.prefixedInteger(7);
  const base = negative ? requiredInsertCount - delta - 1 : requiredInsertCount + delta;
  if (base < 0) {
    throw reader.malformed(`base ${base}`);
  }
  return { requiredInsertCount, base };
}

/** The Required Insert Count that was encoded, or undefined when no encoder could have meant one (RFC 9204 §4.5.1.1). */
function unwrap(encoded: number, insertCount: number, maxEntries: number): number | undefined {
  const fullRange = 2 * maxEntries;
  if (encoded > fullRange) {
    return undefined;
  }
  const maxValue = insertCount + maxEntries;
  const maxWrapped = Math.floor(maxValue / fullRange) * fullRange;
  const value = maxWrapped + encoded - 1;
  const count = value > maxValue ? value - fullRange : value;
  return count > 0 ? count : undefined;
}
