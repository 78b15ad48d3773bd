import { encodeHex } from "../base/hex.ts";
import type { Platform, Timer } from "../base/platform.ts";
import { sweepMs } from "./lease-clock.ts";
import { type PairNews, PairPools } from "./pair-pools.ts";
import type { PeerSet } from "./peer-set.ts";
import type { PeerRecord } from "./registration.ts";
import { type Moment, RegistryCore } from "./registry-core.ts";
import type {
  LeaseKey,
  PairEvents,
  PairSeat,
  RegisterOutcome,
  RendezvousState,
  RendezvousStateContext,
  RenewOutcome,
} from "./rendezvous-state.ts";

/** What a rendezvous knows, in the memory of this process: gone with it, and peers then register again. */
export class MemoryState implements RendezvousState {
  readonly name = "memory";
  readonly trouble = undefined;
  readonly #platform: Platform;
  readonly #dateMs: () => number;
  readonly #core: RegistryCore;
  readonly #pools = new PairPools();
  readonly #seats = new Map<string, PairEvents>();
  #timer: Timer | undefined;

  constructor({ limits, platform, dateMs }: RendezvousStateContext) {
    this.#platform = platform;
    this.#dateMs = dateMs;
    this.#core = new RegistryCore(limits, this.#moment(), () => randomHex(platform));
    this.#scheduleSweep();
  }

  async register(
    record: PeerRecord,
    lease: { readonly lease: string; readonly leaseMs: number },
  ): Promise<RegisterOutcome> {
    return this.#core.register(record, lease, this.#moment());
  }

  async renew(lease: LeaseKey): Promise<RenewOutcome> {
    return this.#core.renew(lease, this.#moment());
  }

  async release(lease: LeaseKey, graceMs: number): Promise<void> {
    this.#core.release(lease, graceMs, this.#moment());
  }

  async unregister(lease: LeaseKey): Promise<RenewOutcome> {
    return this.#core.unregister(lease);
  }

  async set(namespace: string): Promise<PeerSet | undefined> {
    return this.#core.set(namespace);
  }

  async openSet(namespace: string): Promise<PeerSet | undefined> {
    return this.#core.openSet(namespace);
  }

  async namespaces(): Promise<readonly string[]> {
    return [...this.#core.namespaces].filter((name) => (this.#core.set(name)?.size ?? 0) > 0);
  }

  async registrations(): Promise<number> {
    return this.#core.registrations;
  }

  async pair(seat: PairSeat, events: PairEvents): Promise<() => void> {
    this.#seats.set(seat.ticket, events);
    this.#tell(this.#pools.join(seat, randomHex(this.#platform)));
    return () => {
      this.#seats.delete(seat.ticket);
      this.#tell(this.#pools.leave(seat.ticket));
    };
  }

  async close(): Promise<void> {
    if (this.#timer !== undefined) {
      this.#platform.clearTimer(this.#timer);
    }
  }

  #tell(news: readonly PairNews[]): void {
    for (const each of news) {
      const events = this.#seats.get(each.ticket);
      if (each.type === "paired") {
        events?.paired(each);
      } else {
        this.#seats.delete(each.ticket);
        events?.[each.type]();
      }
    }
  }

  #scheduleSweep(): void {
    this.#timer = this.#platform.setTimer(sweepMs, () => {
      this.#core.sweep(this.#moment());
      this.#scheduleSweep();
    });
  }

  #moment(): Moment {
    return { nowMs: this.#platform.now(), unixMs: this.#dateMs() };
  }
}

/** 16 bytes that nobody guesses. */
export function randomHex(platform: Pick<Platform, "randomFill">): string {
  const bytes = new Uint8Array(16);
  platform.randomFill(bytes);
  return encodeHex(bytes);
}
