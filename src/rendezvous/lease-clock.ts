/** How often leases are looked at that have run out. Milliseconds. */
export const sweepMs = 500;
/** A clock that goes further than this between two looks has jumped, or nobody was there to renew a lease. Milliseconds. */
export const maxStepMs: number = 2 * sweepMs;

/**
 * The time that leases run by: that of a clock which is read every {@link sweepMs}, without its jumps. While a process is
 * frozen, or its clock is set, no peer can renew; so such a time does not count, in either direction.
 */
export class LeaseClock {
  #last: number;
  #now = 0;

  constructor(clockMs: number) {
    this.#last = clockMs;
  }

  /** The time when the clock says `clockMs`. Never goes back. Milliseconds. */
  read(clockMs: number): number {
    const step = clockMs - this.#last;
    this.#last = clockMs;
    this.#now += Math.min(Math.max(step, 0), maxStepMs);
    return this.#now;
  }
}
