/**
 * Remembers, roughly and in fixed memory, which strings were met lately. A field that comes once is not worth a table
 * entry; one that comes again will come a third time.
 *
 * A string is known by 16 bits of a hash; where two fall into one slot the later stays. A wrong answer costs a few bytes on
 * the wire, no more.
 */
export class SeenFields {
  readonly #hashes = new Uint16Array(slots);

  /** Whether the pair was met lately; it is from now on. */
  meet(name: string, value: string): boolean {
    const hash = hashOf(value, hashOf(name, offsetBasis));
    const slot = hash % slots;
    const known = hash >>> 16;
    const seen = this.#hashes[slot] === known;
    this.#hashes[slot] = known;
    return seen;
  }
}

const slots = 251;

// FNV-1a.
const offsetBasis = 0x811c9dc5;
const prime = 0x01000193;

function hashOf(text: string, start: number): number {
  let hash = start;
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), prime);
  }
  return hash >>> 0;
}
