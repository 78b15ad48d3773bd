/** Frames that wait for a client, oldest first. Whoever pushes bounds it. */
export class FrameQueue {
  #frames: Uint8Array[] = [];
  #next = 0;
  #bytes = 0;

  /** Frames. */
  get size(): number {
    return this.#frames.length - this.#next;
  }

  /** Of all frames. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps `frame`, or a copy where it is a small part of a large buffer that would be held with it. */
  push(frame: Uint8Array): void {
    const wasteful = frame.buffer.byteLength > 2 * frame.length + 4_096;
    this.#frames.push(wasteful ? frame.slice() : frame);
    this.#bytes += frame.length;
  }

  take(): Uint8Array | undefined {
    const frame = this.#frames[this.#next];
    if (frame === undefined) {
      return undefined;
    }
    this.#next += 1;
    this.#bytes -= frame.length;
    if (this.#next >= 64 && this.#next * 2 >= this.#frames.length) {
      this.#frames = this.#frames.slice(this.#next);
      this.#next = 0;
    }
    return frame;
  }
}
