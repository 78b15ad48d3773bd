import { type Deferred, deferred } from "../base/deferred.ts";

/** Where a {@link ContentReader} reads. */
export interface ContentOrigin {
  /** Takes what waits first; undefined when nothing does. */
  read(): Uint8Array | undefined;
  /** The reader wants no more, before the end. */
  abandon(): void;
}

/** The content of a stream for whoever pulls it. What is not asked for stays in the stream, whose window is then full. */
export class ContentReader implements AsyncIterableIterator<Uint8Array> {
  readonly #origin: ContentOrigin;
  readonly #readers: Deferred<IteratorResult<Uint8Array>>[] = [];
  #paused = false;
  #dropped = false;
  #end: { readonly type: "open" | "ended" } | { readonly type: "failed"; readonly error: unknown } =
    { type: "open" };

  constructor(origin: ContentOrigin) {
    this.#origin = origin;
  }

  /** There may be something to read. */
  wake(): void {
    this.#serve();
  }

  /** Nothing is read until {@link resume}, the end included. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#serve();
  }

  /** The content is complete. */
  end(): void {
    if (this.#end.type === "open") {
      this.#end = { type: "ended" };
      this.#serve();
    }
  }

  /** No more will come: the reader gets what waits, and then `error`. */
  fail(error: unknown): void {
    if (this.#end.type === "open") {
      this.#end = { type: "failed", error };
      this.#serve();
    }
  }

  /** Nothing that waits is wanted any more: the reader gets `error` at once. */
  abort(error: unknown): void {
    this.#dropped = true;
    if (this.#end.type !== "failed") {
      this.#end = { type: "failed", error };
    }
    this.#serve();
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const reader = deferred<IteratorResult<Uint8Array>>();
    this.#readers.push(reader);
    this.#serve();
    return reader.promise;
  }

  /** Leaves the rest unread. */
  return(): Promise<IteratorResult<Uint8Array>> {
    this.#dropped = true;
    if (this.#end.type === "open") {
      this.#end = { type: "ended" };
      this.#serve();
      this.#origin.abandon();
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

  #serve(): void {
    while (this.#readers.length > 0) {
      if (!this.#dropped) {
        const bytes = this.#paused ? undefined : this.#origin.read();
        if (bytes !== undefined) {
          this.#readers.shift()?.resolve({ done: false, value: bytes });
          continue;
        }
        if (this.#paused) {
          return;
        }
      }
      switch (this.#end.type) {
        case "open":
          return;
        case "ended":
          this.#readers.shift()?.resolve(finished);
          break;
        case "failed":
          this.#readers.shift()?.reject(this.#end.error);
      }
    }
  }
}

const finished: IteratorResult<Uint8Array> = { done: true, value: undefined };
