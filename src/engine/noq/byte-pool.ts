/** Memory that is carved up at a time, as large as Node's own pool for small buffers. */
const slabSize = 8_192;
/** Longer copies get memory of their own: the rest of a slab is held as long as any piece of it. */
const maxPooled = 2_048;

/** Makes small copies cheaply: several share one ArrayBuffer, and none is zeroed before it is filled. */
export class BytePool {
  #slab = new Uint8Array(slabSize);
  #used = 0;

  /** A copy of `length` bytes that stand at `start`. It belongs to the caller. */
  copy(source: Uint8Array, start: number, length: number): Uint8Array {
    if (length > maxPooled) {
      return source.slice(start, start + length);
    }
    if (this.#used + length > slabSize) {
      this.#slab = new Uint8Array(slabSize);
      this.#used = 0;
    }
    const copy = this.#slab.subarray(this.#used, this.#used + length);
    copy.set(source.subarray(start, start + length));
    this.#used += length;
    return copy;
  }
}
