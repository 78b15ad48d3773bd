import { type Field, fieldOverhead } from "./field.ts";

/** A field in the dynamic table. */
export interface TableEntry {
  readonly field: Field;
}

/** What a field takes of the table's capacity, in bytes (RFC 9204 §3.2.1). */
export function entrySize(field: Field): number {
  return field[0].length + field[1].length + fieldOverhead;
}

/**
 * The dynamic table (RFC 9204 §3.2), the same on both sides: a queue of entries, known by their absolute index, which
 * counts all insertions from 0.
 */
export class DynamicTable<Entry extends TableEntry> {
  /** A ring: the entry with absolute index i is at i modulo its length, a power of two. */
  #ring: (Entry | undefined)[] = [undefined];
  #capacity = 0;
  #size = 0;
  #insertCount = 0;
  #evictedCount = 0;

  /** Bytes that the entries may take together. 0 at first. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Bytes that the entries take. */
  get size(): number {
    return this.#size;
  }

  /** Entries ever inserted; also the absolute index that the next one will get. */
  get insertCount(): number {
    return this.#insertCount;
  }

  /** Entries ever evicted; also the absolute index of the oldest that is there, if any is. */
  get evictedCount(): number {
    return this.#evictedCount;
  }

  /** The entry with an absolute index; undefined when it is not there, for whatever number. */
  get(absoluteIndex: number): Entry | undefined {
    return absoluteIndex >= this.#evictedCount && absoluteIndex < this.#insertCount
      ? this.#ring[absoluteIndex & (this.#ring.length - 1)]
      : undefined;
  }

  /** Adds an entry, which must fit the capacity, and evicts old ones to make room for it (RFC 9204 §3.2.2). */
  insert(entry: Entry, onEvict?: (entry: Entry) => void): void {
    const size = entrySize(entry.field);
    this.#shrinkTo(this.#capacity - size, onEvict);
    if (this.#insertCount - this.#evictedCount === this.#ring.length) {
      this.#growRing();
    }
    this.#ring[this.#insertCount & (this.#ring.length - 1)] = entry;
    this.#insertCount += 1;
    this.#size += size;
  }

  /** Changes the capacity and evicts what no longer fits (RFC 9204 §3.2.3). */
  setCapacity(capacity: number, onEvict?: (entry: Entry) => void): void {
    this.#capacity = capacity;
    this.#shrinkTo(capacity, onEvict);
  }

  #shrinkTo(size: number, onEvict: ((entry: Entry) => void) | undefined): void {
    while (this.#size > size) {
      const slot = this.#evictedCount & (this.#ring.length - 1);
      const entry = this.#ring[slot];
      if (entry === undefined) {
        throw new RangeError(`cannot insert an entry above the capacity of ${this.#capacity}`);
      }
      this.#ring[slot] = undefined;
      this.#evictedCount += 1;
      this.#size -= entrySize(entry.field);
      onEvict?.(entry);
    }
  }

  #growRing(): void {
    const grown = new Array<Entry | undefined>(this.#ring.length * 2);
    for (let index = this.#evictedCount; index < this.#insertCount; index++) {
      grown[index & (grown.length - 1)] = this.#ring[index & (this.#ring.length - 1)];
    }
    this.#ring = grown;
  }
}
