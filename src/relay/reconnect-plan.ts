import type { RelayErrorCode } from "./relay-error.ts";

/** Wait after the first failure, doubled by each further one. */
const firstDelayMs = 10;
const maxDelayMs = 16_000;
/** The same for a relay that does not let us in: asking again changes little. */
const firstDeniedDelayMs = 5_000;
const maxDeniedDelayMs = 60_000;
/** A connection that was of less use than this does not make a relay a good one: else one that hangs up is asked for ever. */
const minGoodMs = 1_000;
/** What a relay may ask for when it restarts. */
const maxReconnectInMs = 60_000;
const maxTryForMs = 60_000;
/** Wait between attempts while a relay restarts. */
const maxRestartDelayMs = 500;

/** Knows how long to wait before the next attempt to connect. Times are `Platform.now()`. */
export class ReconnectPlan {
  #attempt = 1;
  #connectedAt: number | undefined;
  #useful = false;
  #restart: { readonly backAt: number; readonly tryUntil: number } | undefined;

  /** The number of the present or next attempt, from 1 since the last good connection. */
  get attempt(): number {
    return this.#attempt;
  }

  handleConnected(now: number): void {
    this.#connectedAt = now;
    this.#useful = false;
    this.#restart = undefined;
  }

  /** A frame arrived on the connection. */
  handleFrame(): void {
    this.#useful = true;
  }

  /** The relay has said that it is going to restart: when to come back, and for how long to try hard then. */
  handleRestarting(reconnectInMs: number, tryForMs: number, now: number): void {
    const backAt = now + Math.min(reconnectInMs, maxReconnectInMs);
    this.#restart = { backAt, tryUntil: backAt + Math.min(tryForMs, maxTryForMs) };
  }

  /**
   * The connection ended, or did not come about: how long to wait, in milliseconds.
   * @param random from 0 up to 1: half of the wait depends on it, so that clients of one relay come back one by one
   */
  handleLost(code: RelayErrorCode, now: number, random: number): number {
    const connectedAt = this.#connectedAt;
    const good = this.#useful && connectedAt !== undefined && now - connectedAt >= minGoodMs;
    const failures = good ? 0 : this.#attempt - 1;
    this.#attempt = good ? 1 : this.#attempt + 1;
    this.#connectedAt = undefined;
    const [first, max] =
      code === "denied" ? [firstDeniedDelayMs, maxDeniedDelayMs] : [firstDelayMs, maxDelayMs];
    const delayMs = Math.min(first * 2 ** failures, max) * (0.5 + random / 2);
    const restart = this.#restart;
    if (restart === undefined || code === "denied" || now > restart.tryUntil) {
      return delayMs;
    }
    // All clients got the same time: they spread over as much again.
    return connectedAt !== undefined
      ? Math.max(restart.backAt - now, 0) * (1 + random) + delayMs
      : Math.min(delayMs, maxRestartDelayMs);
  }
}
