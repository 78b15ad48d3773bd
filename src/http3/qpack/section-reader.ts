// The field lines of an encoded field section (RFC 9204 §4.5.2 to §4.5.6), by their first bits:
//
//   1T index(6)                       indexed: static where T is set, else dynamic, relative to Base
//   01NT index(4) value(7)            literal with the name of such an entry; N: never to be indexed
//   001N name(3) value(7)             literal
//   0001 index(4)                     indexed, post-base
//   0000 N index(3) value(7)          literal with the name of a post-base entry
//
// N is for intermediaries, which must not index the field either. We are none and drop it.

import type { DynamicTable, TableEntry } from "./dynamic-table.ts";
import { type Field, type FieldSection, fieldOverhead } from "./field.ts";
import type { PrimitiveReader } from "./primitive-reader.ts";
import type { SectionPrefix } from "./section-prefix.ts";
import { staticTable } from "./static-table.ts";

/**
 * Reads all field lines. Returns undefined as soon as the section is above `maxSize` bytes as RFC 9114 §4.2.2 counts them:
 * a section of a few bytes may refer to a large entry again and again, and must not be built first.
 */
export function readFieldLines(context: SectionContext, maxSize: number): FieldSection | undefined {
  const fields: Field[] = [];
  let size = 0;
  while (context.reader.remaining > 0) {
    const field = readFieldLine(context);
    size += field[0].length + field[1].length + fieldOverhead;
    if (size > maxSize) {
      return undefined;
    }
    fields.push(field);
  }
  return fields;
}

/** What it takes to understand a field line. */
export interface SectionContext {
  readonly reader: PrimitiveReader;
  readonly prefix: SectionPrefix;
  readonly table: DynamicTable<TableEntry>;
}

function readFieldLine(context: SectionContext): Field {
  const { reader, prefix } = context;
  const first = reader.peekU8();
  if (first >= 0xc0) {
    return staticField(reader, reader.prefixedInteger(6));
  }
  if (first >= 0x80) {
    return dynamicField(context, prefix.base - 1 - reader.prefixedInteger(6));
  }
  if (first >= 0x40) {
    const index = reader.prefixedInteger(4);
    const [name] =
      (first & 0x10) !== 0
        ? staticField(reader, index)
        : dynamicField(context, prefix.base - 1 - index);
    return [name, readString(reader, 7)];
  }
  if (first >= 0x20) {
    return [readString(reader, 3), readString(reader, 7)];
  }
  if (first >= 0x10) {
    return dynamicField(context, prefix.base + reader.prefixedInteger(4));
  }
  const [name] = dynamicField(context, prefix.base + reader.prefixedInteger(3));
  return [name, readString(reader, 7)];
}

function staticField(reader: PrimitiveReader, index: number): Field {
  const field = staticTable[index];
  if (field === undefined) {
    throw reader.malformed(`static index ${index}`);
  }
  return field;
}

function dynamicField({ reader, prefix, table }: SectionContext, absoluteIndex: number): Field {
  // An index from Required Insert Count up is wrong even if the entry has arrived meanwhile (RFC 9204 §2.2.3).
  const entry = absoluteIndex < prefix.requiredInsertCount ? table.get(absoluteIndex) : undefined;
  if (entry === undefined) {
    throw reader.malformed(`dynamic index ${absoluteIndex} of ${prefix.requiredInsertCount}`);
  }
  return entry.field;
}

/** A string needs no limit of its own: it is no longer than 8/5 of the section, which the decoder has limited. */
function readString(reader: PrimitiveReader, prefixBits: number): string {
  return reader.stringLiteral(prefixBits, Number.POSITIVE_INFINITY);
}
