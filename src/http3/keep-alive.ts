export interface KeepAliveOptions {
  /** Milliseconds; 0 never keeps alive. */
  readonly intervalMs: number;
  /** Whether the connection is kept alive while it is idle, too. */
  readonly always: boolean;
}

/**
 * Decides when a connection is kept alive. It goes on for an interval after the last request is over, so that one call
 * after another does not switch it on and off.
 */
export class KeepAlive {
  readonly #options: KeepAliveOptions;
  readonly #set: (intervalMs: number) => void;
  #on: boolean;
  /** When it ends, unless it is needed again. */
  #endsAt: number | undefined;

  constructor(options: KeepAliveOptions, set: (intervalMs: number) => void) {
    this.#options = options;
    this.#set = set;
    this.#on = options.always;
    set(options.always ? options.intervalMs : 0);
  }

  /** Requests are open from `now` on (monotonic milliseconds), or no longer. */
  activeChanged(active: boolean, now: number): void {
    if (this.#options.always || this.#options.intervalMs === 0) {
      return;
    }
    if (!active) {
      this.#endsAt = now + this.#options.intervalMs;
      return;
    }
    this.#endsAt = undefined;
    if (!this.#on) {
      this.#on = true;
      this.#set(this.#options.intervalMs);
    }
  }

  /** When `handleTimeout` has something to do. */
  nextTimeout(): number | undefined {
    return this.#endsAt;
  }

  handleTimeout(now: number): void {
    if (this.#endsAt !== undefined && now >= this.#endsAt) {
      this.#endsAt = undefined;
      this.#on = false;
      this.#set(0);
    }
  }
}
