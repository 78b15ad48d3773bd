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
  #state: "dialing" | "connected" | "given-up" = "dialing";

  /** `errorOf` says what the caller gets for an end without a connection. */
  constructor(platform: Platform, errorOf: (cause: CloseCause) => EndpointError) {
    this.#platform = platform;
    this.#errorOf = errorOf;
  }

  /** The connection that `begin` makes. Gives up when `limits` say so: the signal that `begin` gets tells it. */
  async run(
    begin: (ended: AbortSignal) => Promise<EngineConnection>,
    limits: DialLimits,
  ): Promise<T> {
    const { signal, timeoutMs } = limits;
    const ended = new AbortController();
    const timer = this.#platform.setTimer(timeoutMs, () =>
      this.end({ type: "timeout", handshaking: true }),
    );
    const stopListening = onAbort(signal, () => this.giveUp(signal?.reason));
    begin(ended.signal).then(
      (engine) => this.#begun(engine),
      (error: unknown) => this.giveUp(error),
    );
    try {
      return await this.#outcome.promise;
    } finally {
      ended.abort();
      this.#platform.clearTimer(timer);
      stopListening();
    }
  }

  /** A handshake has ended without a connection: begins another one, as long as somebody waits for it. */
  retry(begin: () => EngineConnection): void {
    if (this.#state === "dialing") {
      try {
        this.#begun(begin());
      } catch (error) {
        this.giveUp(error);
      }
    }
  }

  connected(connection: T): void {
    // From here on it belongs to the connection, and giving up comes too late.
    this.#engine = undefined;
    this.#state = "connected";
    this.#outcome.resolve(connection);
  }

  end(cause: CloseCause): void {
    this.giveUp(this.#errorOf(cause));
  }

  giveUp(error: unknown): void {
    if (this.#state === "dialing") {
      this.#state = "given-up";
      this.#outcome.reject(error);
      this.#engine?.close(closeCode.none, "");
    }
  }

  #begun(engine: EngineConnection): void {
    if (this.#state === "dialing") {
      this.#engine = engine;
    } else if (this.#state === "given-up") {
      engine.close(closeCode.none, "");
    }
  }
}
