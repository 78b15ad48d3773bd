/** When to dial again after a failure. Milliseconds. */
export interface BackoffOptions {
  /** The wait after the first failure; it doubles with each further one. */
  readonly initialMs: number;
  /** The wait does not grow beyond this. */
  readonly maxMs: number;
  /** How much of the wait is left to chance, 0 to 1, so that many callers do not come back at the same moment. */
  readonly jitter: number;
}

export const defaultBackoff: BackoffOptions = { initialMs: 100, maxMs: 3_000, jitter: 0.2 };

/** The wait after a failure that came after `failures` others in a row; `random` is in [0, 1). Milliseconds. */
export function backoffMs(
  { initialMs, maxMs, jitter }: BackoffOptions,
  failures: number,
  random: number,
): number {
  // The exponent is limited only so that the number stays finite.
  return Math.min(maxMs, initialMs * 2 ** Math.min(failures, 30)) * (1 - jitter * random);
}

/** What to do next. */
export type RedialStep =
  | { readonly type: "none" }
  | { readonly type: "dial" }
  /** Nothing before this moment: call {@link RedialPlan.timeUp} then. */
  | { readonly type: "wait"; readonly untilMs: number };

export type RedialState =
  /** No connection, and nobody wants one. */
  | { readonly type: "idle" }
  | { readonly type: "waiting"; readonly untilMs: number }
  | { readonly type: "connecting" }
  /** `proven`: the peer has answered on this connection. */
  | { readonly type: "connected"; readonly proven: boolean };

/**
 * Decides when the connection to a peer is dialed: at the first call, and after a loss at the next one. Attempts that
 * fail, and connections that are lost before they were of any use, are followed by a growing wait.
 *
 * No clock and no timer of its own: `now` is monotonic milliseconds, `random` a number in [0, 1).
 */
export class RedialPlan {
  readonly #backoff: BackoffOptions;
  #state: RedialState = { type: "idle" };
  #failures = 0;
  #notBefore = Number.NEGATIVE_INFINITY;

  constructor(backoff: BackoffOptions = defaultBackoff) {
    this.#backoff = backoff;
  }

  get state(): RedialState {
    return this.#state;
  }

  /** Failures since the peer last answered. */
  get failures(): number {
    return this.#failures;
  }

  /** A call wants a connection. */
  wanted(now: number): RedialStep {
    if (this.#state.type !== "idle") {
      return none;
    }
    if (now >= this.#notBefore) {
      this.#state = { type: "connecting" };
      return { type: "dial" };
    }
    this.#state = { type: "waiting", untilMs: this.#notBefore };
    return { type: "wait", untilMs: this.#notBefore };
  }

  /** The moment of a "wait" has come. */
  timeUp(): RedialStep {
    if (this.#state.type !== "waiting") {
      return none;
    }
    this.#state = { type: "connecting" };
    return { type: "dial" };
  }

  /** Nobody wants a connection any more. A dial that is under way goes on: the next call will be glad of it. */
  unwanted(): void {
    if (this.#state.type === "waiting") {
      this.#state = { type: "idle" };
    }
  }

  connected(): void {
    this.#state = { type: "connected", proven: false };
  }

  /** The peer has answered a request. */
  proven(): void {
    if (this.#state.type === "connected" && !this.#state.proven) {
      this.#state = { type: "connected", proven: true };
      this.#failures = 0;
    }
  }

  /** The dial failed. */
  dialFailed(now: number, random: number): void {
    this.#failed(now, random);
    this.#state = { type: "idle" };
  }

  /** The dial was called off; that says nothing of the peer. */
  dialAborted(): void {
    this.#state = { type: "idle" };
  }

  /** The connection ended, or takes no more calls. */
  lost(now: number, random: number): void {
    if (this.#state.type === "connected") {
      if (!this.#state.proven) {
        this.#failed(now, random);
      }
      this.#state = { type: "idle" };
    }
  }

  #failed(now: number, random: number): void {
    this.#notBefore = now + backoffMs(this.#backoff, this.#failures, random);
    this.#failures += 1;
  }
}

const none: RedialStep = { type: "none" };
