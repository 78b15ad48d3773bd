import { LeaseClock } from "./lease-clock.ts";
import { PeerSet } from "./peer-set.ts";
import type { PeerRecord } from "./registration.ts";
import type { RendezvousLimits } from "./rendezvous-limits.ts";
import type { LeaseKey, RegisterOutcome, RenewOutcome } from "./rendezvous-state.ts";

interface Held {
  readonly namespace: string;
  readonly id: string;
  readonly lease: string;
  readonly leaseMs: number;
  readonly signedUs: bigint;
  /** By the lease clock. */
  expiresMs: number;
}

/** The moment of an event: a clock that never goes back, and that of the world. */
export interface Moment {
  /** Milliseconds. */
  readonly nowMs: number;
  /** Since 1970. */
  readonly unixMs: number;
}

export type RegistryLimits = Pick<
  RendezvousLimits,
  "maxRegistrations" | "maxRegistrationsPerPeer" | "maxNamespaces" | "maxClockSkewMs" | "maxChanges"
>;

/**
 * Who is registered, in the memory of one process. Pure: every method takes the moment at which it happens; `sweep` is to be
 * called every `sweepMs`.
 */
export class RegistryCore {
  readonly #limits: RegistryLimits;
  readonly #newEpoch: () => string;
  readonly #clock: LeaseClock;
  readonly #sets = new Map<string, PeerSet>();
  readonly #held = new Map<string, Held>();
  /** Namespaces that a peer is in. */
  readonly #perPeer = new Map<string, number>();
  /** When peers that are gone have last signed: nobody is to bring them back with an old registration. Oldest first. */
  readonly #gone = new Map<string, bigint>();
  /** What was signed before counts as used: nothing of it is remembered. */
  #notBeforeUs: bigint;

  /** @param newEpoch a text that there was not before */
  constructor(limits: RegistryLimits, { nowMs, unixMs }: Moment, newEpoch: () => string) {
    this.#limits = limits;
    this.#newEpoch = newEpoch;
    this.#clock = new LeaseClock(nowMs);
    this.#notBeforeUs = BigInt(Math.floor(unixMs)) * 1_000n;
  }

  get registrations(): number {
    return this.#held.size;
  }

  get namespaces(): IterableIterator<string> {
    return this.#sets.keys();
  }

  /** The peers of a namespace; undefined for one that nobody is in, and nobody watches. */
  set(namespace: string): PeerSet | undefined {
    return this.#sets.get(namespace);
  }

  /** As `set`, and makes one where there is none; undefined where there are too many. It is kept while it is retained. */
  openSet(namespace: string): PeerSet | undefined {
    const known = this.#sets.get(namespace);
    if (known !== undefined || this.#sets.size >= this.#limits.maxNamespaces) {
      return known;
    }
    const set = new PeerSet({ maxChanges: this.#limits.maxChanges, epoch: this.#newEpoch() });
    this.#sets.set(namespace, set);
    return set;
  }

  register(
    record: PeerRecord,
    { lease, leaseMs }: { readonly lease: string; readonly leaseMs: number },
    moment: Moment,
  ): RegisterOutcome {
    const { namespace, signedUs } = record;
    const id = record.id.toString();
    const key = keyOf(namespace, id);
    const held = this.#held.get(key);
    const lastUs = held?.signedUs ?? this.#gone.get(key) ?? -1n;
    const notBeforeUs = lastUs < this.#notBeforeUs ? this.#notBeforeUs : lastUs + 1n;
    if (signedUs < notBeforeUs) {
      return { type: "refused", notBeforeUs };
    }
    const limit = held === undefined ? this.#fullAt(id) : undefined;
    if (limit !== undefined) {
      return { type: "full", limit };
    }
    const set = this.openSet(namespace);
    if (set === undefined) {
      return { type: "full", limit: `${this.#limits.maxNamespaces} namespaces` };
    }
    const before = set.get(id);
    if (held === undefined) {
      this.#gone.delete(key);
      this.#perPeer.set(id, (this.#perPeer.get(id) ?? 0) + 1);
    }
    const expiresMs = this.#clock.read(moment.nowMs) + leaseMs;
    this.#held.set(key, { namespace, id, lease, leaseMs, signedUs, expiresMs });
    set.apply(id, {
      record,
      lease,
      registeredAtMs: before?.registeredAtMs ?? moment.unixMs,
      joined: before?.joined ?? set.version + 1,
    });
    return { type: "registered", leaseMs };
  }

  renew(lease: LeaseKey, { nowMs }: Moment): RenewOutcome {
    const held = this.#find(lease);
    if (typeof held === "string") {
      return { type: held };
    }
    held.expiresMs = this.#clock.read(nowMs) + held.leaseMs;
    return {
      type: "renewed",
      leaseMs: held.leaseMs,
      version: this.#versionOf(held),
    };
  }

  /** Nobody holds the registration any more: it ends after `graceMs`, unless it is renewed. */
  release(lease: LeaseKey, graceMs: number, { nowMs }: Moment): void {
    const held = this.#find(lease);
    if (typeof held !== "string") {
      held.expiresMs = Math.min(held.expiresMs, this.#clock.read(nowMs) + graceMs);
    }
  }

  unregister(lease: LeaseKey): RenewOutcome {
    const held = this.#find(lease);
    if (typeof held === "string") {
      return { type: held };
    }
    this.#end(held);
    return { type: "renewed", leaseMs: 0, version: this.#versionOf(held) };
  }

  /** Ends the registrations whose lease has run out, and forgets what is of no use any more. */
  sweep({ nowMs, unixMs }: Moment): void {
    const now = this.#clock.read(nowMs);
    for (const held of this.#held.values()) {
      if (held.expiresMs <= now) {
        this.#end(held);
      }
    }
    for (const [namespace, set] of this.#sets) {
      if (set.size === 0 && !set.isRetained) {
        this.#sets.delete(namespace);
      }
    }
    const oldestUs = BigInt(Math.floor(unixMs) - this.#limits.maxClockSkewMs) * 1_000n;
    for (const [key, signedUs] of this.#gone) {
      if (signedUs >= oldestUs && this.#gone.size <= this.#limits.maxRegistrations) {
        break;
      }
      // What is older is refused by its date as a rule; where it is remembered no more, so is all up to it.
      this.#gone.delete(key);
      if (signedUs >= this.#notBeforeUs) {
        this.#notBeforeUs = signedUs + 1n;
      }
    }
  }

  /** What would be more than it may be. */
  #fullAt(id: string): string | undefined {
    if (this.#held.size >= this.#limits.maxRegistrations) {
      return `${this.#limits.maxRegistrations} registrations`;
    }
    if ((this.#perPeer.get(id) ?? 0) >= this.#limits.maxRegistrationsPerPeer) {
      return `${this.#limits.maxRegistrationsPerPeer} namespaces of one peer`;
    }
    return undefined;
  }

  #versionOf({ namespace }: Held): number {
    return this.#sets.get(namespace)?.version ?? 0;
  }

  #find({ namespace, id, lease }: LeaseKey): Held | "unknown" | "replaced" {
    const held = this.#held.get(keyOf(namespace, id));
    if (held === undefined) {
      return "unknown";
    }
    return held.lease === lease ? held : "replaced";
  }

  #end({ namespace, id, signedUs }: Held): void {
    const key = keyOf(namespace, id);
    this.#held.delete(key);
    this.#gone.set(key, signedUs);
    const others = (this.#perPeer.get(id) ?? 1) - 1;
    if (others === 0) {
      this.#perPeer.delete(id);
    } else {
      this.#perPeer.set(id, others);
    }
    this.#sets.get(namespace)?.apply(id, undefined);
  }
}

/** An id has no space in it. */
function keyOf(namespace: string, id: string): string {
  return `${id} ${namespace}`;
}
