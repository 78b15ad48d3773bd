/**
 * Memory for many small pieces of bytes that live about equally long: one allocation for some dozens of them, where each
 * of their own costs as much as all that is done with it. A piece that is kept keeps its whole slab of up to 8 KiB, as with
 * Node's `Buffer`; the first ones are smaller, as thousands of calls that say little are open at a time.
 */
export class Slab {
  #bytes: Uint8Array = nothing;
  #nextLength = firstSlabBytes;
  #used = 0;

  /** Zeros, for the caller alone. Pieces above 1 KiB have memory of their own. */
  take(length: number): Uint8Array {
    if (length > largestPiece) {
      return new Uint8Array(length);
    }
    if (this.#used + length > this.#bytes.length) {
      this.#bytes = new Uint8Array(Math.max(length, this.#nextLength));
      this.#nextLength = Math.min(2 * this.#nextLength, slabBytes);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += length;
    return this.#bytes.subarray(start, this.#used);
  }
}

const nothing = new Uint8Array(0);
const firstSlabBytes = 128;
const slabBytes = 8_192;
const largestPiece = 1_024;
