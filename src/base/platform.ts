/** A timer that is running; only {@link Platform.clearTimer} takes it. */
export interface Timer {
  readonly timer: unknown;
}

/**
 * What a program needs of the world besides its sockets: clocks, timers and randomness. Everything that reads one of
 * them gets it passed in, so that a test can play hours in milliseconds, with the same outcome for the same seed.
 */
export interface Platform {
  /** Monotonic milliseconds, with fractions, since some moment in the past. */
  now(): number;
  /** Milliseconds since 1970, for what has a date (tickets, certificates). */
  unixMs(): number;
  /** Fills `into` with unpredictable bytes. */
  randomFill(into: Uint8Array): void;
  /** Runs `callback` once, after the I/O events of this turn of the event loop. */
  soon(callback: () => void): void;
  /** Runs `callback` once, when all promises have settled that can without another event, and before that event. */
  settled(callback: () => void): void;
  /** Runs `callback` once, `delayMs` from now. The timer alone does not keep the process alive. */
  setTimer(delayMs: number, callback: () => void): Timer;
  clearTimer(timer: Timer): void;
}
