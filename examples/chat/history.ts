/** What the history needs to know of a message. */
export interface Entry {
  /** With the author, its place. */
  readonly timeMs: number;
  readonly author: string;
  /** Tells messages apart. */
  readonly signature: string;
}

export interface HistoryLimits {
  readonly total: number;
  readonly ofAuthor: number;
}

/**
 * The latest messages of a room, in order. Members that have heard of the same messages have the same history, in whatever
 * order and how often these have come: of two messages at one place the one with the lower signature counts, of an author
 * the latest `ofAuthor`, and of these the latest `total`.
 */
export class History<T extends Entry> implements Iterable<T> {
  readonly #limits: HistoryLimits;
  readonly #signatures = new Set<string>();
  #entries: readonly T[] = [];

  constructor(limits: HistoryLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.length;
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#entries[Symbol.iterator]();
  }

  has(signature: string): boolean {
    return this.#signatures.has(signature);
  }

  /** False when it is there already, or has no place. */
  add(entry: T): boolean {
    if (this.has(entry.signature)) {
      return false;
    }
    const entries = this.#entries.filter((each) => comparePlaces(each, entry) !== 0);
    const rival = this.#entries.find((each) => comparePlaces(each, entry) === 0);
    entries.push(rival !== undefined && rival.signature < entry.signature ? rival : entry);
    entries.sort(comparePlaces);
    const ofAuthor = entries.filter(({ author }) => author === entry.author);
    const [oldest] = ofAuthor;
    const kept = entries
      .filter((each) => each !== oldest || ofAuthor.length <= this.#limits.ofAuthor)
      .slice(-this.#limits.total);
    this.#entries = kept;
    this.#signatures.clear();
    for (const { signature } of kept) {
      this.#signatures.add(signature);
    }
    return this.has(entry.signature);
  }
}

/** The order of a room: when it was said, and then by whom. */
export function comparePlaces(a: Entry, b: Entry): number {
  return a.timeMs - b.timeMs || (a.author < b.author ? -1 : a.author > b.author ? 1 : 0);
}
