import { type CallOptions, Code, ConnectError } from "@connectrpc/connect";
import { deferred } from "../base/deferred.ts";
import { onAbort } from "../base/on-abort.ts";
import type { Platform } from "../base/platform.ts";
import { announce } from "./negotiation.ts";
import { lastWordsMs } from "./tunnel-limits.ts";
import type { CloseTunnelOptions, OpenTunnelOptions } from "./tunnel-options.ts";

/** One end of a tunnel, whichever. */
export interface TunnelEnd {
  readonly frames: { readonly failed: boolean };
  readonly closed: Promise<void>;
  fail(error: ConnectError): void;
  drain(options: CloseTunnelOptions): Promise<void>;
}

/** The call that carries a tunnel, for the side that makes it. */
export class CarrierCall {
  /** Resolves when the call is over, and so the tunnel. */
  readonly closed: Promise<void>;
  readonly #closed = deferred<void>();
  readonly #platform: Platform;
  readonly #options: OpenTunnelOptions;
  readonly #abort = new AbortController();
  /** What was sent to open the tunnel. */
  readonly header: Headers;

  constructor(platform: Platform, options: OpenTunnelOptions) {
    this.#platform = platform;
    this.#options = options;
    this.closed = this.#closed.promise;
    this.header = new Headers(options.headers);
    announce(this.header);
  }

  get callOptions(): CallOptions {
    const { contextValues } = this.#options;
    return {
      headers: this.header,
      signal: this.#abort.signal,
      // A transport's default is for calls that end.
      timeoutMs: 0,
      ...(contextValues === undefined ? {} : { contextValues }),
    };
  }

  /** @param read takes frames from the call until there are none */
  async run(end: TunnelEnd, read: () => Promise<void>): Promise<void> {
    const { signal } = this.#options;
    const give = (): void => end.fail(ConnectError.from(signal?.reason, Code.Canceled));
    if (signal?.aborted === true) {
      give();
      this.#closed.resolve();
      return;
    }
    const stopListening = onAbort(signal, give);
    const reading = read();
    await end.closed;
    stopListening();
    if (!end.frames.failed) {
      // The peer has been told, and ends the call in turn.
      const late = deferred<void>();
      const timer = this.#platform.setTimer(lastWordsMs, () => late.resolve());
      await Promise.race([reading, late.promise]);
      this.#platform.clearTimer(timer);
    }
    this.#abort.abort(new ConnectError("the tunnel was closed", Code.Canceled));
    this.#closed.resolve();
  }

  async close(end: TunnelEnd, options: CloseTunnelOptions = {}): Promise<void> {
    await end.drain(options);
    await this.closed;
  }
}
