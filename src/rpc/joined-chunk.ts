/**
 * A chunk of content that has to wait, and the small ones after it that were copied to it. A list in which each new
 * chunk is offered to the last one first has few entries, and takes about as much memory as there is content, however
 * small the pieces are that a peer sends.
 */
export class JoinedChunk {
  #bytes: Uint8Array;
  #length: number;
  #pieces = 1;

  /** Takes over `bytes`. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#length = bytes.length;
  }

  get length(): number {
    return this.#length;
  }

  /** How many chunks it was made of. */
  get pieces(): number {
    return this.#pieces;
  }

  get bytes(): Uint8Array {
    const bytes = this.#bytes;
    return this.#length === bytes.length ? bytes : bytes.subarray(0, this.#length);
  }

  /** Copies small bytes to others that are small. False when they do not belong here: they begin a chunk. */
  add(bytes: Uint8Array): boolean {
    const length = this.#length + bytes.length;
    if (bytes.length >= smallBytes || length > joinedBytes) {
      return false;
    }
    if (this.#bytes.length < length) {
      if (this.#length >= smallBytes) {
        return false;
      }
      const joined = new Uint8Array(joinedBytes);
      joined.set(this.bytes);
      this.#bytes = joined;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
    this.#pieces += 1;
    return true;
  }
}

/** Chunks below this size are joined with their neighbours. */
export const smallBytes = 1_024;

/** What joined chunks make at most. */
const joinedBytes = 4_096;
