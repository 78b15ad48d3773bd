import { AsyncQueue } from "../base/async-queue.ts";

/** What keeping a datagram costs besides its bytes: without it, empty ones could be kept without end. */
const overhead = 64;

/** Datagrams that wait for a reader, up to a number of bytes; the oldest make room for newer ones. */
export class DatagramQueue {
  readonly #queue = new AsyncQueue<Uint8Array>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(datagram: Uint8Array): void {
    const waiting = this.#queue.size;
    this.#queue.push(datagram);
    if (this.#queue.size > waiting) {
      this.#bytes += datagram.length + overhead;
    }
    while (this.#bytes > this.#maxBytes) {
      this.#take();
    }
  }

  /** The oldest datagram; undefined once the queue has ended and is empty. */
  async next(options?: { readonly signal?: AbortSignal }): Promise<Uint8Array | undefined> {
    options?.signal?.throwIfAborted();
    return this.#take() ?? (await this.#queue.next(options));
  }

  /** No more will come; those that are there can still be taken. */
  end(): void {
    this.#queue.end();
  }

  #take(): Uint8Array | undefined {
    const datagram = this.#queue.take();
    if (datagram !== undefined) {
      this.#bytes -= datagram.length + overhead;
    }
    return datagram;
  }
}
