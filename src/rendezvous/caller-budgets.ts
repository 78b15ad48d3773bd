/** How many callers are told apart; those who have not come for longest are then forgotten. */
const maxCallers = 100_000;
/** What somebody can do at once who has not come for a while. */
const burstSeconds = 10;

/** How often each caller may do something: so many times in a second, on average. Pure. */
export class CallerBudgets {
  readonly #perSecond: number;
  /** Who came last at the end. */
  readonly #callers = new Map<string, { left: number; atMs: number }>();

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
  }

  /** Takes one; false where there is none left. */
  take(caller: string, nowMs: number): boolean {
    const most = burstSeconds * this.#perSecond;
    const known = this.#callers.get(caller) ?? { left: most, atMs: nowMs };
    const earned = ((nowMs - known.atMs) / 1_000) * this.#perSecond;
    const left = Math.min(most, known.left + earned);
    this.#callers.delete(caller);
    this.#callers.set(caller, { left: left < 1 ? left : left - 1, atMs: nowMs });
    if (this.#callers.size > maxCallers) {
      const [oldest = ""] = this.#callers.keys();
      this.#callers.delete(oldest);
    }
    return left >= 1;
  }
}
