import { type Deferred, deferred } from "../base/deferred.ts";
import { Signal } from "../base/signal.ts";
import { EngineError, type EngineStream } from "../engine/engine.ts";
import { endpointErrorOf } from "./call-engine.ts";
import { EndpointError } from "./endpoint-error.ts";
import type { ProcessHold } from "./process-hold.ts";

/** The sending half of a stream. */
export class SendStream {
  readonly #stream: EngineStream;
  readonly #hold: ProcessHold;
  readonly #onOver: () => void;
  readonly #writable = new Signal();
  readonly #stopped: Deferred<bigint | undefined> = deferred();
  readonly #acknowledged: Deferred<void> = deferred();
  #state: { type: "open" } | { type: "finished" } | { type: "failed"; error: EndpointError } = {
    type: "open",
  };
  #lastWrite: Promise<void> = Promise.resolve();
  #web: WritableStream<Uint8Array> | undefined;

  /** @internal `onOver` is called once, when nothing of the stream can be lost any more. */
  constructor(stream: EngineStream, hold: ProcessHold, onOver: () => void) {
    this.#stream = stream;
    this.#hold = hold;
    this.#onOver = onOver;
    this.#acknowledged.promise.catch(() => {});
  }

  /** The QUIC stream id. */
  get id(): number {
    return this.#stream.id;
  }

  /**
   * Resolves when all of `bytes` was taken by the connection, which waits while the peer's reader is behind. Writes are
   * sent in the order of the calls. An aborted write may have sent a part of its bytes: reset the stream then.
   */
  write(bytes: Uint8Array, options?: { readonly signal?: AbortSignal }): Promise<void> {
    if (this.#state.type === "finished") {
      return rejected(new EndpointError("stream-ended", "cannot write: the stream was finished"));
    }
    const write = this.#lastWrite.then(() => this.#writeAll(bytes, options?.signal));
    this.#lastWrite = write.catch(() => {});
    return write;
  }

  async #writeAll(bytes: Uint8Array, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    let rest = bytes;
    for (;;) {
      if (this.#state.type === "failed") {
        throw this.#state.error;
      }
      try {
        rest = rest.subarray(this.#stream.write(rest));
      } catch (error) {
        throw await this.#writeError(error);
      }
      if (rest.length === 0) {
        return;
      }
      await this.#hold.during(this.#writable.wait({ signal }));
    }
  }

  /** An engine may know of STOP_SENDING, or of the connection's end, before it has told us: wait for the news. */
  async #writeError(error: unknown): Promise<unknown> {
    if (
      error instanceof EngineError &&
      (error.code === "stream-ended" || error.code === "closed")
    ) {
      await this.#hold.during(this.#stopped.promise);
    }
    return this.#state.type === "failed" ? this.#state.error : endpointErrorOf(error);
  }

  /**
   * Says that nothing more will be written, once the writes that are under way are done. Resolves when the peer has
   * acknowledged everything; need not be awaited for that to happen.
   */
  finish(): Promise<void> {
    if (this.#state.type === "open") {
      this.#state = { type: "finished" };
      void this.#lastWrite.then(() => this.#stream.finish());
    }
    const done = this.#hold.during(this.#acknowledged.promise);
    done.catch(() => {});
    return done;
  }

  /** Gives up: the peer's reader gets `code`, and what was not delivered is lost. Default code 0. */
  reset(code = 0n): void {
    if (this.#state.type !== "failed") {
      this.#stream.reset(code);
      this.#fail(new EndpointError("stream-ended", "stream was reset by this side"));
    }
  }

  /** Resolves with the peer's code when it wants no more, or with undefined when everything was acknowledged. */
  stopped(): Promise<bigint | undefined> {
    return this.#hold.during(this.#stopped.promise);
  }

  /** Streams with higher numbers send first. Default 0. */
  setPriority(priority: number): void {
    this.#stream.setPriority(priority);
  }

  /** The same half as a Web Stream: closing finishes it, aborting resets it with code 0. */
  get writable(): WritableStream<Uint8Array> {
    this.#web ??= new WritableStream<Uint8Array>({
      start: (controller) => {
        void this.#stopped.promise.then((code) => {
          if (code !== undefined) {
            controller.error(stoppedError(code));
          }
        });
      },
      write: (chunk) => this.write(chunk),
      close: () => this.finish(),
      abort: () => this.reset(),
    });
    return this.#web;
  }

  /** Settles when the connection has taken what {@link write} was given so far. @internal */
  get written(): Promise<void> {
    return this.#lastWrite;
  }

  /** Settles when the peer has acknowledged a finished stream, or it was given up; undefined while it is open. @internal */
  get finishing(): Promise<void> | undefined {
    return this.#state.type === "finished" ? this.#acknowledged.promise : undefined;
  }

  /** @internal */
  handleWritable(): void {
    this.#writable.notify();
  }

  /** @internal */
  handleStopped(code: bigint): void {
    this.#fail(stoppedError(code));
    this.#stopped.resolve(code);
  }

  /** @internal */
  handleAcknowledged(): void {
    this.#stopped.resolve(undefined);
    this.#acknowledged.resolve();
    this.#onOver();
  }

  /** @internal */
  handleConnectionClosed(error: EndpointError): void {
    this.#fail(error);
    this.#stopped.resolve(undefined);
  }

  #fail(error: EndpointError): void {
    if (this.#state.type !== "failed") {
      this.#state = { type: "failed", error };
      this.#onOver();
    }
    this.#acknowledged.reject(error);
    this.#writable.notify();
  }
}

/** A failed write that nobody awaits is no reason to end the process: whoever uses the stream next learns of it. */
function rejected(error: EndpointError): Promise<never> {
  const promise = Promise.reject(error);
  promise.catch(() => {});
  return promise;
}

function stoppedError(code: bigint): EndpointError {
  return new EndpointError(
    "stream-stopped",
    `the peer reads no further (code 0x${code.toString(16)})`,
    {
      streamCode: code,
    },
  );
}
