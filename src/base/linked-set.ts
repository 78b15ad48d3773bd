/**
 * Values in the order of their coming, each to be taken out by the link that `add` has returned. For what comes and goes
 * with each call: like a `NumberMap`, and unlike a `Set`, it leaves nothing behind.
 */
export class LinkedSet<T> {
  #first: Link<T> | undefined;
  #last: Link<T> | undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** The one that came first. */
  get first(): T | undefined {
    return this.#first?.value;
  }

  add(value: T): Link<T> {
    const link: Link<T> = { value, previous: this.#last, next: undefined, isIn: true };
    if (this.#last === undefined) {
      this.#first = link;
    } else {
      this.#last.next = link;
    }
    this.#last = link;
    this.#size += 1;
    return link;
  }

  /** Takes out the one that came first. */
  shift(): void {
    if (this.#first !== undefined) {
      this.delete(this.#first);
    }
  }

  /** Takes out what `add` of this set has put in. Idempotent. */
  delete(link: Link<T>): void {
    if (!link.isIn) {
      return;
    }
    const { previous, next } = link;
    if (previous === undefined) {
      this.#first = next;
    } else {
      previous.next = next;
    }
    if (next === undefined) {
      this.#last = previous;
    } else {
      next.previous = previous;
    }
    // An old one must not keep its neighbours alive.
    link.previous = undefined;
    link.next = undefined;
    link.isIn = false;
    this.#size -= 1;
  }

  /** A copy. */
  values(): T[] {
    const values: T[] = [];
    for (let link = this.#first; link !== undefined; link = link.next) {
      values.push(link.value);
    }
    return values;
  }
}

/** A place in a {@link LinkedSet}, which alone reads and writes it. */
export interface Link<T> {
  readonly value: T;
  previous: Link<T> | undefined;
  next: Link<T> | undefined;
  isIn: boolean;
}
