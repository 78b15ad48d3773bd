// The records that the core hands out in each turn. Layout and numbers are those of crates/quic-core/src/events.rs.

export const eventKind = {
  incoming: 1,
  connected: 2,
  closed: 3,
  gone: 4,
  streamOpened: 5,
  streamReadable: 6,
  streamWritable: 7,
  streamStopped: 8,
  streamAcknowledged: 9,
  streamsAvailable: 10,
  datagram: 11,
  datagramsWritable: 12,
  pathsChanged: 13,
  candidatesChanged: 14,
  addressObserved: 15,
  handshakeDone: 16,
} as const;

const headerLength = 24;

/**
 * A cursor over a batch of records, in memory of its own: what handlers do may move or overwrite the core's.
 * One object for all records, because there may be several per packet.
 */
export class EventBatch {
  #bytes = new Uint8Array(4_096);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  #next = 0;

  kind: number = 0;
  slot: number = 0;
  generation: number = 0;
  number: number = 0;
  #payload = 0;
  #payloadLength = 0;

  /** Copies a batch. */
  load(source: Uint8Array, offset: number, length: number): void {
    if (length > this.#bytes.length) {
      this.#bytes = new Uint8Array(Math.max(length, this.#bytes.length * 2));
      this.#view = new DataView(this.#bytes.buffer);
    }
    this.#bytes.set(source.subarray(offset, offset + length));
    this.#length = length;
    this.#next = 0;
  }

  /** Moves to the next record; false when there is none. */
  next(): boolean {
    const offset = this.#next;
    if (offset >= this.#length) {
      return false;
    }
    const view = this.#view;
    this.kind = view.getUint32(offset, true);
    this.slot = view.getUint32(offset + 4, true);
    this.generation = view.getUint32(offset + 8, true);
    this.#payloadLength = view.getUint32(offset + 12, true);
    this.number = view.getFloat64(offset + 16, true);
    this.#payload = offset + headerLength;
    this.#next = this.#payload + Math.ceil(this.#payloadLength / 8) * 8;
    return true;
  }

  /** The code at the start of the payload. */
  code(): bigint {
    return this.#view.getBigUint64(this.#payload, true);
  }

  /** A byte of the payload. */
  byte(at: number): number {
    return this.#view.getUint8(this.#payload + at);
  }

  /** Byte strings in the payload, from `start` on: how many, and each after its length. Copies. */
  list(start: number): Uint8Array[] {
    let at = start + 4;
    return Array.from({ length: this.#u32(start) }, () => {
      const from = at + 4;
      at = from + this.#u32(at);
      return this.payload(from, at);
    });
  }

  #u32(at: number): number {
    return this.#view.getUint32(this.#payload + at, true);
  }

  /** A copy of the payload from `start` on. */
  payload(start = 0, end: number = this.#payloadLength): Uint8Array {
    return this.#bytes.slice(this.#payload + start, this.#payload + end);
  }
}
