import { type Deferred, deferred } from "../base/deferred.ts";
import { JoinedChunk } from "./joined-chunk.ts";

/** What a {@link BodyQueue} does to the stream that fills it. */
export interface BodySource {
  pause(): void;
  /** Not from within: a reader that never waits for anything else would read on and on, and nothing else would run. */
  resumeSoon(): void;
  /** The reader wants no more, before the end. */
  abandon(): void;
}

/**
 * The content of a message on its way from the stream that pushes it to the reader that pulls it. Above
 * {@link maxQueuedBytes} the stream is paused, so that a slow reader stops the writer at the other end. Small chunks that
 * have to wait are joined: neither their number nor what each of them costs is for the peer to choose.
 */
export class BodyQueue implements AsyncIterableIterator<Uint8Array> {
  readonly #source: BodySource;
  #chunks: JoinedChunk[] = [];
  /** What has to be done for what is queued, as if it were bytes. */
  #cost = 0;
  #paused = false;
  #end: { readonly type: "open" | "ended" } | { readonly type: "failed"; readonly error: unknown } =
    { type: "open" };
  readonly #readers: Deferred<IteratorResult<Uint8Array>>[] = [];

  constructor(source: BodySource) {
    this.#source = source;
  }

  /** Takes over `bytes`. */
  push(bytes: Uint8Array): void {
    if (this.#end.type !== "open" || bytes.length === 0) {
      return;
    }
    const reader = this.#readers.shift();
    if (reader !== undefined) {
      reader.resolve({ done: false, value: bytes });
      return;
    }
    const last = this.#chunks.at(-1);
    if (last === undefined || !last.add(bytes)) {
      this.#chunks.push(new JoinedChunk(bytes));
    }
    this.#cost += bytes.length + pushCost;
    if (!this.#paused && this.#cost >= maxQueuedBytes) {
      this.#paused = true;
      this.#source.pause();
    }
  }

  /** The content is complete. */
  end(): void {
    if (this.#end.type === "open") {
      this.#end = { type: "ended" };
      this.#settleReaders();
    }
  }

  /** No more will come: the reader gets what is queued, and then `error`. */
  fail(error: unknown): void {
    if (this.#end.type === "open") {
      this.#end = { type: "failed", error };
      this.#settleReaders();
    }
  }

  /** Nothing that is queued is wanted any more: the reader gets `error` at once. */
  abort(error: unknown): void {
    this.#drop();
    if (this.#end.type !== "failed") {
      this.#end = { type: "failed", error };
      this.#settleReaders();
    }
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#cost -= chunk.length + chunk.pieces * pushCost;
      if (this.#paused && this.#cost < maxQueuedBytes / 2) {
        this.#paused = false;
        this.#source.resumeSoon();
      }
      return Promise.resolve({ done: false, value: chunk.bytes });
    }
    switch (this.#end.type) {
      case "open": {
        const reader = deferred<IteratorResult<Uint8Array>>();
        this.#readers.push(reader);
        return reader.promise;
      }
      case "ended":
        return Promise.resolve(finished);
      case "failed":
        return Promise.reject(this.#end.error);
    }
  }

  /** Leaves the rest unread. */
  return(): Promise<IteratorResult<Uint8Array>> {
    this.#drop();
    if (this.#end.type === "open") {
      this.end();
      this.#source.abandon();
    } else {
      this.#end = { type: "ended" };
    }
    return Promise.resolve(finished);
  }

  async throw(error: unknown): Promise<IteratorResult<Uint8Array>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #drop(): void {
    this.#chunks = [];
    this.#cost = 0;
  }

  #settleReaders(): void {
    for (const reader of this.#readers.splice(0)) {
      if (this.#end.type === "failed") {
        reader.reject(this.#end.error);
      } else {
        reader.resolve(finished);
      }
    }
  }
}

/** Content that waits for its reader outside of the QUIC engine. Reading resumes below half of it. */
export const maxQueuedBytes = 65_536;

/**
 * What each chunk counts besides its bytes. A peer that sends single bytes is stopped after about a thousand of them, and
 * others get their turn before the next.
 */
const pushCost = 64;

const finished: IteratorResult<Uint8Array> = { done: true, value: undefined };
