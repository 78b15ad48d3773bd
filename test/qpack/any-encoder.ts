import { entrySize } from "../../src/http3/qpack/dynamic-table.ts";
import type { Field, FieldSection } from "../../src/http3/qpack/field.ts";
import { PrimitiveWriter } from "../../src/http3/qpack/primitive-writer.ts";
import { maxEntriesOf, writeSectionPrefix } from "../../src/http3/qpack/section-prefix.ts";
import { staticTable } from "../../src/http3/qpack/static-table.ts";

/**
 * Writes legal QPACK as its choices have it: every kind of reference, any Base, capacities that change, insertions that
 * nobody needs. The table is a plain list: evicted entries stay in it, as undefined.
 */
export class AnyEncoder {
  readonly #maxTableCapacity: number;
  readonly #mayEvict: (absoluteIndex: number) => boolean;
  readonly #entries: (Field | undefined)[] = [];
  #capacity = 0;

  /** @param mayEvict whether the entry with this absolute index may be evicted now (RFC 9204 §2.1.1) */
  constructor(maxTableCapacity: number, mayEvict: (absoluteIndex: number) => boolean) {
    this.#maxTableCapacity = maxTableCapacity;
    this.#mayEvict = mayEvict;
  }

  /** Undefined when entries stand against it that may not be evicted. */
  setCapacity(capacity: number): Uint8Array | undefined {
    if (!this.#evictFor(0, capacity)) {
      return undefined;
    }
    this.#capacity = capacity;
    return new PrimitiveWriter().prefixedInteger(0x20, 5, capacity).take();
  }

  /** An insertion, with the name from wherever `choice` finds it; undefined when it does not fit, or not now. */
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
    if (!this.#evictFor(entrySize(field), this.#capacity)) {
      return undefined;
    }
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
    writeSectionPrefix(writer, prefix, maxEntriesOf(this.#maxTableCapacity));
    return { fields, bytes: writer.append(lines).take(), requiredInsertCount };
  }

  #present(): number[] {
    return [...this.#entries.keys()].filter((index) => this.#entries[index] !== undefined);
  }

  /** Evicts the oldest entries until `size` bytes are free; false, and nothing is evicted, when it may not. */
  #evictFor(size: number, capacity: number): boolean {
    const bytesOf = (index: number): number => {
      const field = this.#entries[index];
      return field === undefined ? 0 : entrySize(field);
    };
    const present = this.#present();
    let used = present.reduce((sum, index) => sum + bytesOf(index), 0);
    const evicted: number[] = [];
    for (const index of present) {
      if (used + size <= capacity) {
        break;
      }
      used -= bytesOf(index);
      evicted.push(index);
    }
    const allowed = evicted.every((index) => this.#mayEvict(index));
    for (const index of allowed ? evicted : []) {
      this.#entries[index] = undefined;
    }
    return allowed;
  }
}

export interface EncodedSection {
  readonly fields: FieldSection;
  readonly bytes: Uint8Array;
  readonly requiredInsertCount: number;
}
