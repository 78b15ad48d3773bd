import { Code, ConnectError } from "@connectrpc/connect";
import { deferred } from "../base/deferred.ts";
import type { Platform, Timer } from "../base/platform.ts";

/** Tells when a tunnel is open, or that it never will be. */
export class OpeningWatch {
  /** Rejects when the tunnel ends before it is open. */
  readonly opened: Promise<void>;
  readonly #opened = deferred<void>();
  readonly #platform: Platform;
  #timer: Timer | undefined;
  #state: "waiting" | "open" | "failed" = "waiting";

  /** @param onTimeout the other end took longer than `timeoutMs` */
  constructor(platform: Platform, timeoutMs: number, onTimeout: (error: ConnectError) => void) {
    this.#platform = platform;
    this.opened = this.#opened.promise;
    // Whoever does not wait for it learns of a failure in other ways.
    this.opened.catch(() => {});
    this.#timer = platform.setTimer(timeoutMs, () => {
      onTimeout(new ConnectError("the tunnel took too long to open", Code.DeadlineExceeded));
    });
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /**
   * The headers of the other end announce nothing: it is one of the first revision, or about to refuse the tunnel. Open
   * when it has not done so soon.
   */
  unannounced(): void {
    if (this.#state === "waiting") {
      this.#stopTimer();
      this.#timer = this.#platform.setTimer(refusalMs, () => this.open());
    }
  }

  open(): void {
    if (this.#state === "waiting") {
      this.#state = "open";
      this.#stopTimer();
      this.#opened.resolve();
    }
  }

  failed(error: ConnectError): void {
    if (this.#state === "waiting") {
      this.#state = "failed";
      this.#stopTimer();
      this.#opened.reject(error);
    }
  }

  #stopTimer(): void {
    if (this.#timer !== undefined) {
      this.#platform.clearTimer(this.#timer);
      this.#timer = undefined;
    }
  }
}

/** By then a refusal has followed the headers that it came with. */
const refusalMs = 100;
