import { Code, ConnectError } from "@connectrpc/connect";
import { deferred } from "../base/deferred.ts";
import { onAbort } from "../base/on-abort.ts";
import type { BenchmarkEnd, Moment, WorkerState } from "./worker-state.ts";

export interface BenchmarkRunOptions {
  readonly number: number;
  readonly totalBytes: number;
  readonly state: WorkerState;
  readonly at: () => Moment;
  /** It has ended. */
  readonly over: () => void;
}

/** How often the state, and the sender, is told how much has arrived, at most. Milliseconds. */
const progressMs = 50;

/** A benchmark that runs, until its first end. */
export class BenchmarkRun {
  readonly number: number;
  readonly totalBytes: number;
  readonly #options: BenchmarkRunOptions;
  readonly #cancelled = new AbortController();
  #doneBytes = 0;
  #toldAt = Number.NEGATIVE_INFINITY;
  #isOver = false;

  constructor(options: BenchmarkRunOptions) {
    this.number = options.number;
    this.totalBytes = options.totalBytes;
    this.#options = options;
  }

  /** Fires with a ConnectError Aborted when it is cancelled here. */
  get signal(): AbortSignal {
    return this.#cancelled.signal;
  }

  get doneBytes(): number {
    return this.#doneBytes;
  }

  /** So many bytes have arrived. Returns whether it was told, which is not done for each. Throws above the total. */
  progress(doneBytes: number): boolean {
    if (doneBytes > this.totalBytes) {
      throw new ConnectError(
        `more data than the ${this.totalBytes} bytes that were said`,
        Code.InvalidArgument,
      );
    }
    this.#doneBytes = doneBytes;
    const at = this.#options.at();
    const tell = at.now - this.#toldAt >= progressMs;
    if (tell) {
      this.#toldAt = at.now;
      this.#options.state.benchmarkProgress(this.number, doneBytes, at);
    }
    return tell;
  }

  /** All data has arrived. Throws when it has not. `sha256` is that of a file. */
  done(sha256?: Uint8Array<ArrayBuffer>): void {
    if (this.#doneBytes !== this.totalBytes) {
      throw new ConnectError(
        `only ${this.#doneBytes} of ${this.totalBytes} bytes have come`,
        Code.InvalidArgument,
      );
    }
    this.#end({ type: "done", sha256 });
  }

  /** Ends with a failure, or as cancelled where that is what the error says. */
  failed(error: unknown): void {
    const { code, rawMessage } = ConnectError.from(error);
    if (this.signal.aborted) {
      this.#end({ type: "cancelled", problem: cancelledHere });
    } else if (code === Code.Aborted || code === Code.Canceled) {
      this.#end({ type: "cancelled", problem: "cancelled by the peer" });
    } else {
      this.#end({ type: "failed", problem: rawMessage });
    }
  }

  cancel(): void {
    this.#cancelled.abort(new ConnectError(cancelledHere, Code.Aborted));
    this.failed(this.signal.reason);
  }

  /** As the promise, unless it is cancelled before. */
  async unlessCancelled<T>(promise: Promise<T>): Promise<T> {
    const { signal } = this;
    signal.throwIfAborted();
    const cancelled = deferred<never>();
    const stopListening = onAbort(signal, () => cancelled.reject(signal.reason));
    try {
      return await Promise.race([promise, cancelled.promise]);
    } finally {
      stopListening();
    }
  }

  #end(end: BenchmarkEnd): void {
    if (!this.#isOver) {
      this.#isOver = true;
      const { state, at, over } = this.#options;
      state.benchmarkProgress(this.number, this.#doneBytes, at());
      state.benchmarkEnds(this.number, end, at());
      over();
    }
  }
}

const cancelledHere = "cancelled here";
