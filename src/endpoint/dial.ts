import { type Deferred, deferred } from "../base/deferred.ts";
import { onAbort } from "../base/on-abort.ts";
import type { Platform } from "../base/platform.ts";
import type { CloseCause, EngineConnection } from "../engine/engine.ts";
import { closeCode, type EndpointError } from "./endpoint-error.ts";

export interface DialLimits {
  readonly signal: AbortSignal | undefined;
  /** How long the handshake may take. Milliseconds. */
  readonly timeoutMs: number;
}

/** A handshake that we began, until it has brought a connection or has come to another end. */
export class Dial<T> {
  readonly #platform: Platform;
  readonly #errorOf: (cause: CloseCause) => EndpointError;
  readonly #outcome: Deferred<T> = deferred();
  #engine: EngineConnection | undefined;

  /** `errorOf` says what the caller gets for an end without a connection. */
  constructor(platform: Platform, errorOf: (cause: CloseCause) => EndpointError) {
    this.#platform = platform;
    this.#errorOf = errorOf;
  }

  /** The connection that `engine` becomes. Gives it up when `limits` say so. */
  async run(engine: EngineConnection, limits: DialLimits): Promise<T> {
    const { signal, timeoutMs } = limits;
    this.#engine = engine;
    const timer = this.#platform.setTimer(timeoutMs, () =>
      this.end({ type: "timeout", handshaking: true }),
    );
    const stopListening = onAbort(signal, () => this.giveUp(signal?.reason));
    try {
      return await this.#outcome.promise;
    } finally {
      this.#platform.clearTimer(timer);
      stopListening();
    }
  }

  connected(connection: T): void {
    // From here on it belongs to the connection, and giving up comes too late.
    this.#engine = undefined;
    this.#outcome.resolve(connection);
  }

  end(cause: CloseCause): void {
    this.giveUp(this.#errorOf(cause));
  }

  giveUp(error: unknown): void {
    this.#outcome.reject(error);
    this.#engine?.close(closeCode.none, "");
  }
}
