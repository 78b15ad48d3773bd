import { DynamicTable, entrySize, type TableEntry } from "./dynamic-table.ts";
import type { Field } from "./field.ts";
import { huffmanLength } from "./huffman.ts";
import { PrimitiveWriter } from "./primitive-writer.ts";
import { staticNames } from "./static-table.ts";

/** An entry of the peer's dynamic table, as its encoder sees it. */
export interface EncoderEntry extends TableEntry {
  readonly absoluteIndex: number;
  /** Unacknowledged sections that refer to this entry and to none that is older. */
  pins: number;
  /** The number of the section that used it last. */
  lastUse: number;
}

/** All entries with one name. */
export interface NamedEntries {
  /** The newest of them. */
  readonly newest: EncoderEntry;
  /** The newest with each value. */
  readonly values: ReadonlyMap<string, EncoderEntry>;
}

/** How far the connection is when the table is to be changed. */
export interface EncoderProgress {
  /** The number of the section that is being encoded. */
  readonly section: number;
  /** The oldest entry that this section refers to so far, as an absolute index; Infinity when there is none. */
  readonly oldestReferred: number;
  /** Inserts that the peer has acknowledged. */
  readonly knownReceivedCount: number;
}

/**
 * The encoder's copy of the peer's dynamic table, the instructions that keep both the same (RFC 9204 §4.3), and the rules
 * of what may be evicted (RFC 9204 §2.1.1).
 *
 * An entry stays while its insertion or a section that refers to it is not acknowledged. Entries leave in the order of
 * their insertion only, so it is enough that each section pins the oldest entry that it refers to. Beyond the rules, an
 * entry in use is not given up for a new one: it is duplicated, which costs a byte or two, when it stands in the way of
 * evicting others.
 */
export class EncoderTable {
  readonly #table = new DynamicTable<EncoderEntry>();
  #names: Map<string, { newest: EncoderEntry; values: Map<string, EncoderEntry> }> | undefined;
  readonly #instructions = new PrimitiveWriter();
  #capacity = 0;
  /** Entries with a lower absolute index stand in the way of an insertion: no more sections shall refer to them. */
  #drainingBelow = 0;

  /** Bytes that the table may take. The peer learns of it with the first insertion. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Changes the capacity; only while nothing was inserted. */
  set capacity(bytes: number) {
    this.#capacity = bytes;
  }

  /** Entries ever inserted. */
  get insertCount(): number {
    return this.#table.insertCount;
  }

  /** Entries with a name; undefined when there are none. */
  named(name: string): NamedEntries | undefined {
    return this.#names?.get(name);
  }

  /** Whether sections may still refer to the entry: it is there and not draining (RFC 9204 §2.1.1.1). */
  isReferable(entry: EncoderEntry): boolean {
    return (
      entry.absoluteIndex >= this.#drainingBelow && entry.absoluteIndex >= this.#table.evictedCount
    );
  }

  /**
   * Inserts a field, which must fit the capacity. Returns undefined when there is no room now; where only acknowledgments
   * stand against it, what is in the way drains from now on, so that a later attempt succeeds. Throws RangeError for a
   * char above U+00FF.
   */
  insert(field: Field, progress: EncoderProgress): EncoderEntry | undefined {
    // An instruction that breaks off in the middle would ruin the stream: what it could trip over is found first.
    const [name, value] = field;
    huffmanLength(name);
    huffmanLength(value);
    this.#announceCapacity();
    const inUse = this.#planRoom(entrySize(field), progress);
    if (inUse === undefined) {
      return undefined;
    }
    for (const entry of inUse) {
      this.#duplicate(entry);
    }
    const staticName = staticNames.get(name);
    const named = this.#names?.get(name);
    if (staticName !== undefined) {
      this.#instructions.prefixedInteger(0xc0, 6, staticName.index);
    } else if (named !== undefined) {
      this.#instructions.prefixedInteger(0x80, 6, this.#distanceTo(named.newest));
    } else {
      this.#instructions.stringLiteral(0x40, 5, name);
    }
    this.#instructions.stringLiteral(0, 7, value);
    return this.#add(field, progress.section);
  }

  /** Moves a draining entry to the other end of the table; undefined when it cannot be moved now. */
  refresh(entry: EncoderEntry, progress: EncoderProgress): EncoderEntry | undefined {
    let moved: EncoderEntry | undefined;
    for (const inUse of this.#planRefresh(entry, progress) ?? []) {
      moved = this.#duplicate(inUse);
    }
    return moved;
  }

  /** Instructions for the encoder stream since the last call; undefined when there are none. */
  takeInstructions(): Uint8Array | undefined {
    return this.#instructions.length === 0 ? undefined : this.#instructions.take();
  }

  #announceCapacity(): void {
    if (this.#table.capacity !== this.#capacity) {
      this.#table.setCapacity(this.#capacity);
      this.#instructions.prefixedInteger(0x20, 5, this.#capacity);
    }
  }

  /**
   * How `size` bytes can be inserted: which entries to duplicate first, from old to new. What is evicted then is at most
   * what was looked at here, because that holds the bytes of the duplicates and of the new entry.
   */
  #planRoom(size: number, progress: EncoderProgress): readonly EncoderEntry[] | undefined {
    let room = this.#table.capacity - this.#table.size;
    const inUse: EncoderEntry[] = [];
    let pinned = false;
    let index = this.#table.evictedCount;
    const end = Math.min(index + maxScan, progress.knownReceivedCount);
    for (; room < size; index++) {
      const entry = index < end ? this.#table.get(index) : undefined;
      if (entry === undefined) {
        return undefined;
      }
      pinned ||= entry.pins > 0 || index >= progress.oldestReferred;
      if (this.#isInUse(entry, progress.section)) {
        inUse.push(entry);
      } else {
        room += entrySize(entry.field);
      }
    }
    if (pinned) {
      this.#drainingBelow = Math.max(this.#drainingBelow, index);
      return undefined;
    }
    return inUse;
  }

  /** Which entries to duplicate, from old to new and the target last, so that only older ones are evicted for it. */
  #planRefresh(
    target: EncoderEntry,
    progress: EncoderProgress,
  ): readonly EncoderEntry[] | undefined {
    const inUse: EncoderEntry[] = [];
    const end = Math.min(progress.knownReceivedCount, progress.oldestReferred);
    for (let index = this.#table.evictedCount; index <= target.absoluteIndex; index++) {
      const entry = index < end ? this.#table.get(index) : undefined;
      if (entry === undefined || entry.pins > 0) {
        return undefined;
      }
      if (entry === target || this.#isInUse(entry, progress.section)) {
        inUse.push(entry);
      }
    }
    return inUse;
  }

  #isInUse(entry: EncoderEntry, section: number): boolean {
    const [name, value] = entry.field;
    return (
      section - entry.lastUse < inUseSections && this.#names?.get(name)?.values.get(value) === entry
    );
  }

  #duplicate(entry: EncoderEntry): EncoderEntry {
    this.#instructions.prefixedInteger(0, 5, this.#distanceTo(entry));
    return this.#add(entry.field, entry.lastUse);
  }

  /** The index of an entry in an instruction: relative to the newest. */
  #distanceTo(entry: EncoderEntry): number {
    return this.#table.insertCount - 1 - entry.absoluteIndex;
  }

  #add(field: Field, lastUse: number): EncoderEntry {
    const entry = { field, absoluteIndex: this.#table.insertCount, pins: 0, lastUse };
    this.#table.insert(entry, this.#forget);
    const [name, value] = field;
    const named = this.#names?.get(name);
    if (named === undefined) {
      this.#names ??= new Map();
      this.#names.set(name, { newest: entry, values: new Map([[value, entry]]) });
    } else {
      named.newest = entry;
      named.values.set(value, entry);
    }
    return entry;
  }

  readonly #forget = (entry: EncoderEntry): void => {
    const [name, value] = entry.field;
    const named = this.#names?.get(name);
    if (named?.values.get(value) === entry) {
      named.values.delete(value);
    }
    if (named?.newest === entry) {
      this.#names?.delete(name);
    }
  };
}

/** An entry that one of this many last sections referred to is in use. */
const inUseSections = 16;

/** How many of the oldest entries are looked at to make room for a new one. */
const maxScan = 16;
