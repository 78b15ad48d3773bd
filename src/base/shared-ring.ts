/** Head, tail and flag, before the records. */
const headerBytes = 12;
const headAt = 0;
const tailAt = 1;
const awakeAt = 2;
/** In place of a length: the next record is at the start. */
const wrapped = -1;

/**
 * Records of bytes from one thread to another, through memory that both see: one of them writes, the other reads. Whoever
 * writes tells the reader by some other means that there is something, when {@link publish} asks for it.
 *
 * ```text
 * u32 length, the record, up to 3 bytes until the next multiple of four
 * ```
 */
export class SharedRing {
  /** All records; where {@link reserve} says, the writer may write. */
  readonly bytes: Uint8Array;
  readonly #header: Int32Array;
  readonly #lengths: Int32Array;
  readonly #capacity: number;
  /** Counts bytes, without end; its lower bits are the place. The writer's. */
  #written: number;

  /** @param capacity bytes, a power of two. What is not used costs no memory on most systems. */
  static memory(capacity: number): SharedArrayBuffer {
    if (capacity < 8 || (capacity & (capacity - 1)) !== 0) {
      throw new RangeError(`invalid capacity: ${capacity} is not a power of two`);
    }
    return new SharedArrayBuffer(headerBytes + capacity);
  }

  /** @param memory of {@link SharedRing.memory}; the other thread makes a ring of the same. */
  constructor(memory: SharedArrayBuffer) {
    this.#capacity = memory.byteLength - headerBytes;
    this.#header = new Int32Array(memory, 0, headerBytes / 4);
    this.#lengths = new Int32Array(memory, headerBytes);
    this.bytes = new Uint8Array(memory, headerBytes);
    this.#written = Atomics.load(this.#header, tailAt);
  }

  /** The longest record that fits whenever the ring is empty. Bytes. */
  get maxLength(): number {
    return this.#capacity / 2 - 4;
  }

  /**
   * Makes room for a record, and says where in `bytes` it begins; undefined when the reader is too far behind. The writer
   * fills it at once: it is part of what the next `publish` hands over.
   */
  reserve(length: number): number | undefined {
    const needed = 4 + ((length + 3) & ~3);
    const place = this.#written & (this.#capacity - 1);
    const contiguous = this.#capacity - place;
    const skipped = needed > contiguous ? contiguous : 0;
    const used = (this.#written - Atomics.load(this.#header, headAt)) >>> 0;
    if (length > this.maxLength || used + skipped + needed > this.#capacity) {
      return undefined;
    }
    if (skipped > 0) {
      this.#lengths[place >> 2] = wrapped;
    }
    const at = skipped > 0 ? 0 : place;
    this.#lengths[at >> 2] = length;
    this.#written = (this.#written + skipped + needed) | 0;
    return at + 4;
  }

  /** Hands over what was reserved since the last time. True: the reader has to be told. */
  publish(): boolean {
    if (Atomics.load(this.#header, tailAt) === this.#written) {
      return false;
    }
    Atomics.store(this.#header, tailAt, this.#written);
    return Atomics.exchange(this.#header, awakeAt, 1) === 0;
  }

  /**
   * Gives the reader what has been handed over so far, each record where it lies in `bytes`: it is gone when `each`
   * returns. What `each` throws ends this, and the record is gone too.
   */
  drain(each: (start: number, end: number) => void): void {
    // From here on the writer asks again, so nothing that comes after this look at the tail is missed.
    Atomics.store(this.#header, awakeAt, 0);
    const tail = Atomics.load(this.#header, tailAt);
    let head = Atomics.load(this.#header, headAt);
    try {
      while (head !== tail) {
        const place = head & (this.#capacity - 1);
        const length = this.#lengths[place >> 2] ?? 0;
        if (length === wrapped) {
          head = (head + this.#capacity - place) | 0;
          continue;
        }
        head = (head + 4 + ((length + 3) & ~3)) | 0;
        each(place + 4, place + 4 + length);
        Atomics.store(this.#header, headAt, head);
      }
    } finally {
      Atomics.store(this.#header, headAt, head);
    }
  }
}
