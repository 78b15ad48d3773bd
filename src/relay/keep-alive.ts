/** How long the answer to the first ping may take; to later ones three round trips, within these bounds. */
const maxPongMs = 5_000;
const minPongMs = 500;
/** A timer that comes later than this tells that the process stood still, and not the other side. */
const maxTimerDelayMs = 1_000;

export interface KeepAliveOptions {
  /** A ping is due after so long without anything from the other side. */
  readonly idleMs: number;
  /** A ping is due so long after something was sent that nothing followed. Default: never. */
  readonly unansweredMs?: number;
}

/** What to do when a time has come: send a ping with new data, or give the connection up. */
export type KeepAliveAction = "ping" | "give-up";

/**
 * Knows when to ping the other side of a connection, and when it is dead. Whatever arrives is a sign of life; a pong also
 * tells the round-trip time. All times are `Platform.now()`.
 */
export class KeepAlive {
  readonly #options: KeepAliveOptions;
  #lastReceived: number;
  /** When something was first sent after that. */
  #sentSince: number | undefined;
  #ping: { readonly data: Uint8Array; readonly at: number } | undefined;
  /** Until when something has to come. */
  #deadline: number | undefined;
  #latencyMs: number | undefined;

  constructor(options: KeepAliveOptions, now: number) {
    this.#options = options;
    this.#lastReceived = now;
  }

  /** Round-trip time of the last ping. */
  get latencyMs(): number | undefined {
    return this.#latencyMs;
  }

  /** When something arrived last. */
  get receivedAt(): number {
    return this.#lastReceived;
  }

  /** When `handleTimeout` wants to be called. It can move to earlier by `handleSent` and `handlePing`, else only to later. */
  nextTimeout(): number {
    if (this.#deadline !== undefined) {
      return this.#deadline;
    }
    const { idleMs, unansweredMs = Number.POSITIVE_INFINITY } = this.#options;
    return Math.min(
      this.#lastReceived + idleMs,
      (this.#sentSince ?? Number.POSITIVE_INFINITY) + unansweredMs,
    );
  }

  handleTimeout(now: number): KeepAliveAction | undefined {
    if (now < this.nextTimeout()) {
      return undefined;
    }
    if (this.#deadline !== undefined && now <= this.#deadline + maxTimerDelayMs) {
      return "give-up";
    }
    this.#deadline = undefined;
    return "ping";
  }

  /** Something arrived. */
  handleReceived(now: number): void {
    this.#lastReceived = now;
    this.#sentSince = undefined;
    this.#deadline = undefined;
  }

  /** Something that wants an answer was sent. */
  handleSent(now: number): void {
    this.#sentSince ??= now;
  }

  /** A ping was sent. `maxWaitMs` shortens the wait for a sign of life. */
  handlePing(data: Uint8Array, now: number, maxWaitMs: number = maxPongMs): void {
    const wanted = this.#latencyMs === undefined ? maxPongMs : 3 * this.#latencyMs;
    const waitMs = Math.min(Math.max(wanted, minPongMs), maxPongMs, maxWaitMs);
    this.#ping = { data, at: now };
    this.#deadline = Math.min(this.#deadline ?? Number.POSITIVE_INFINITY, now + waitMs);
  }

  /** A pong arrived. One that answers no ping, or an old one, is a sign of life and no more. */
  handlePong(data: Uint8Array, now: number): void {
    const ping = this.#ping;
    if (ping?.data.every((byte, index) => byte === data[index]) === true) {
      this.#latencyMs = now - ping.at;
      this.#ping = undefined;
    }
  }
}
