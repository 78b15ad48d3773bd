import type { EncodedDatagrams } from "./datagram-frames.ts";

/** After this long QUIC has given a datagram up and sent its contents anew. */
const maxAgeMs = 3_000;
/** Enough for a fast link, and a third of a second at 10 Mbit/s: what waits longer only adds delay. */
const maxBytes = 393_216;
/** Added to the length of each frame, so that tiny ones are counted for what they cost. */
const frameOverhead = 256;

/** Frames that cannot go out now. Bounded in bytes and age; what does not fit is dropped. */
export class DatagramBacklog {
  #waiting: { readonly encoded: EncodedDatagrams; readonly since: number }[] = [];
  #next = 0;
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#next === this.#waiting.length;
  }

  /** False: it does not fit. */
  push(encoded: EncodedDatagrams, now: number): boolean {
    const cost = encoded.frame.length + frameOverhead;
    if (this.#bytes + cost > maxBytes) {
      return false;
    }
    this.#bytes += cost;
    this.#waiting.push({ encoded, since: now });
    return true;
  }

  /** The oldest. */
  take(): EncodedDatagrams | undefined {
    const first = this.#waiting[this.#next];
    if (first === undefined) {
      return undefined;
    }
    this.#next += 1;
    this.#bytes -= first.encoded.frame.length + frameOverhead;
    if (this.#next >= 64 && this.#next * 2 >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
    return first.encoded;
  }

  /** Drops what has waited too long, and tells how many datagrams that were. */
  expire(now: number): number {
    let dropped = 0;
    for (
      let first = this.#waiting[this.#next];
      first !== undefined && first.since < now - maxAgeMs;
      first = this.#waiting[this.#next]
    ) {
      dropped += this.take()?.datagrams ?? 0;
    }
    return dropped;
  }
}
