import type { PairSeat } from "./rendezvous-state.ts";

/** What becomes of a seat. */
export type PairNews =
  | {
      readonly type: "paired";
      readonly ticket: string;
      readonly pairId: string;
      /** The id. */
      readonly partner: string;
      readonly first: boolean;
    }
  | { readonly type: "left"; readonly ticket: string }
  | { readonly type: "replaced"; readonly ticket: string };

/**
 * Pools of those who wait for a partner. Who has waited longest is next; a peer waits in a pool once, and is in one pair of
 * it at most. Pure: news are what others have to be told.
 */
export class PairPools {
  /** By pool; in each the one who waits, of whom there is one at most: a second one is the partner. */
  readonly #waiting = new Map<string, Map<string, PairSeat>>();
  readonly #seats = new Map<string, PairSeat>();
  /** By pool and id. */
  readonly #tickets = new Map<string, string>();
  readonly #partners = new Map<string, string>();

  /** Seats that are taken. */
  get size(): number {
    return this.#seats.size;
  }

  /** Takes a seat. */
  join(seat: PairSeat, pairId: string): PairNews[] {
    const news: PairNews[] = [];
    const older = this.#tickets.get(peerKey(seat));
    if (older !== undefined) {
      news.push(...this.leave(older), { type: "replaced", ticket: older });
    }
    this.#seats.set(seat.ticket, seat);
    this.#tickets.set(peerKey(seat), seat.ticket);
    const pool = this.#waiting.get(poolKey(seat)) ?? new Map<string, PairSeat>();
    const [first] = pool.values();
    if (first === undefined) {
      pool.set(seat.ticket, seat);
      this.#waiting.set(poolKey(seat), pool);
      return news;
    }
    this.#stopWaiting(first);
    this.#partners.set(first.ticket, seat.ticket).set(seat.ticket, first.ticket);
    return [
      ...news,
      { type: "paired", ticket: first.ticket, pairId, partner: seat.id, first: true },
      { type: "paired", ticket: seat.ticket, pairId, partner: first.id, first: false },
    ];
  }

  /** Gives the seat back, which ends its pair. */
  leave(ticket: string): PairNews[] {
    const seat = this.#seats.get(ticket);
    if (seat === undefined) {
      return [];
    }
    this.#remove(seat);
    const partner = this.#seats.get(this.#partners.get(ticket) ?? "");
    this.#partners.delete(ticket);
    if (partner === undefined) {
      return [];
    }
    this.#partners.delete(partner.ticket);
    this.#remove(partner);
    return [{ type: "left", ticket: partner.ticket }];
  }

  #remove(seat: PairSeat): void {
    this.#seats.delete(seat.ticket);
    if (this.#tickets.get(peerKey(seat)) === seat.ticket) {
      this.#tickets.delete(peerKey(seat));
    }
    this.#stopWaiting(seat);
  }

  #stopWaiting(seat: PairSeat): void {
    const pool = this.#waiting.get(poolKey(seat));
    pool?.delete(seat.ticket);
    if (pool?.size === 0) {
      this.#waiting.delete(poolKey(seat));
    }
  }
}

/** Names have no control characters. */
function poolKey({ namespace, pool }: PairSeat): string {
  return `${namespace}\0${pool}`;
}

function peerKey(seat: PairSeat): string {
  return `${seat.id}\0${poolKey(seat)}`;
}
