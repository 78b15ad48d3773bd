/**
 * A map by whole numbers from 0 to 2^53 - 1 (of others there is never a value, and they cannot be set), for what comes and goes with each call. Unlike a `Map` it leaves nothing
 * behind: V8 makes the table of a Map anew after so many deletions, and a table refers to the one that follows it. Once a
 * table has become old, all that was ever in those after it therefore lives until the next full garbage collection, which
 * was a third of the time of short calls.
 */
export class NumberMap<T> {
  /** Open addressing, a power of two of places, at most half of them taken. */
  #keys: number[] = [];
  #values: (T | undefined)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: number): T | undefined {
    const index = this.#find(key);
    return index < 0 ? undefined : this.#values[index];
  }

  /** Throws RangeError for a negative key. */
  set(key: number, value: T): void {
    if (key < 0) {
      throw new RangeError(`cannot set ${key}: keys are not negative`);
    }
    const index = this.#find(key);
    if (index >= 0) {
      this.#values[index] = value;
      return;
    }
    this.#size += 1;
    if (this.#size * 2 > this.#keys.length) {
      this.#resize(Math.max(this.#keys.length * 2, leastPlaces));
    }
    this.#put(key, value);
  }

  delete(key: number): void {
    const keys = this.#keys;
    let hole = this.#find(key);
    if (hole < 0) {
      return;
    }
    // What stands behind it and was to stand at or before the hole moves up, so that it is found.
    const mask = keys.length - 1;
    for (let index = (hole + 1) & mask; ; index = (index + 1) & mask) {
      const moving = keys[index] as number;
      if (moving === free) {
        break;
      }
      if (((index - place(moving, mask)) & mask) >= ((index - hole) & mask)) {
        keys[hole] = moving;
        this.#values[hole] = this.#values[index];
        hole = index;
      }
    }
    keys[hole] = free;
    this.#values[hole] = undefined;
    this.#size -= 1;
    if (keys.length > maxSparePlaces && this.#size * 8 < keys.length) {
      this.#resize(keys.length / 2);
    }
  }

  clear(): void {
    this.#keys = [];
    this.#values = [];
    this.#size = 0;
  }

  /** A copy, in the order of the numbers. */
  values(): T[] {
    const taken = [...this.#keys.keys()].filter((index) => this.#keys[index] !== free);
    taken.sort((a, b) => (this.#keys[a] as number) - (this.#keys[b] as number));
    return taken.map((index) => this.#values[index] as T);
  }

  /** Where the key stands, or -1. */
  #find(key: number): number {
    const keys = this.#keys;
    const mask = keys.length - 1;
    if (mask < 0 || key < 0) {
      return -1;
    }
    for (let index = place(key, mask); ; index = (index + 1) & mask) {
      const other = keys[index];
      if (other === key) {
        return index;
      }
      if (other === free) {
        return -1;
      }
    }
  }

  /** Puts in what is not there yet. */
  #put(key: number, value: T): void {
    const mask = this.#keys.length - 1;
    let index = place(key, mask);
    while (this.#keys[index] !== free) {
      index = (index + 1) & mask;
    }
    this.#keys[index] = key;
    this.#values[index] = value;
  }

  #resize(places: number): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Array<number>(places).fill(free);
    this.#values = new Array<T | undefined>(places).fill(undefined);
    for (const [index, key] of keys.entries()) {
      if (key !== free) {
        this.#put(key, values[index] as T);
      }
    }
  }
}

const free = -1;
const leastPlaces = 8;
/** So many are kept, however few of them are taken: numbers come in waves. */
const maxSparePlaces = 256;

/** Spreads what differs in its upper bits too: stream ids are multiples of four apart. */
function place(key: number, mask: number): number {
  const mixed = Math.imul(key, 0x9e3779b1);
  return (mixed ^ (mixed >>> 15)) & mask;
}
