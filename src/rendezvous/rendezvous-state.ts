import type { Platform } from "../base/platform.ts";
import type { PeerSet } from "./peer-set.ts";
import type { PeerRecord } from "./registration.ts";
import type { RendezvousLimits } from "./rendezvous-limits.ts";

/** What a state is made with. */
export interface RendezvousStateContext {
  readonly limits: RendezvousLimits;
  readonly platform: Platform;
  /** The date by the clock of the place, which does not jump. Whole milliseconds since 1970. */
  readonly dateMs: () => number;
  readonly report: (error: unknown) => void;
}

/** Whose lease, and the proof. */
export interface LeaseKey {
  readonly namespace: string;
  /** Hexadecimal. */
  readonly id: string;
  /** The secret, hexadecimal. */
  readonly lease: string;
}

export type RegisterOutcome =
  | { readonly type: "registered"; readonly leaseMs: number }
  /** The peer has signed something newer, or this may have been used before: it has to be signed at this moment or later. */
  | { readonly type: "refused"; readonly notBeforeUs: bigint }
  /** There are as many as there may be: `100 namespaces`. */
  | { readonly type: "full"; readonly limit: string };

export type RenewOutcome =
  | {
      readonly type: "renewed";
      readonly leaseMs: number;
      /** Of the namespace: in this version of the set the registration was there. */
      readonly version: number;
    }
  | { readonly type: "unknown" }
  | { readonly type: "replaced" };

/** Who asks for a partner. */
export interface PairSeat {
  readonly namespace: string;
  readonly pool: string;
  /** Hexadecimal. */
  readonly id: string;
  /** Of this call, unlike any other. */
  readonly ticket: string;
}

export interface PairEvents {
  /** `first`: has waited. */
  paired(pair: {
    readonly pairId: string;
    readonly partner: string;
    readonly first: boolean;
  }): void;
  /** The partner has left. */
  left(): void;
  /** The same peer has asked again, and this call is out. */
  replaced(): void;
}

/**
 * Where a rendezvous keeps what it knows. Methods that go somewhere reject with an Error while that cannot be reached, which
 * callers see as Unavailable.
 */
export interface RendezvousState {
  /** For people: `memory`. */
  readonly name: string;
  /** Why the state cannot be reached now, for people; undefined while it can. */
  readonly trouble: string | undefined;
  register(
    record: PeerRecord,
    lease: { readonly lease: string; readonly leaseMs: number },
  ): Promise<RegisterOutcome>;
  renew(lease: LeaseKey): Promise<RenewOutcome>;
  /** Nobody holds the registration any more: it ends after `graceMs`, unless it is renewed. */
  release(lease: LeaseKey, graceMs: number): Promise<void>;
  unregister(lease: LeaseKey): Promise<RenewOutcome>;
  /** The peers of a namespace, kept up to date while it is retained; undefined where nobody is and nobody watches. */
  set(namespace: string): Promise<PeerSet | undefined>;
  /** As `set`, and makes one where there is none; undefined where there are too many. */
  openSet(namespace: string): Promise<PeerSet | undefined>;
  /** Those with somebody in them. */
  namespaces(): Promise<readonly string[]>;
  /** All registrations. */
  registrations(): Promise<number>;
  /** Waits for a partner. The function that is returned leaves the pool or the pair; after it there are no events. */
  pair(seat: PairSeat, events: PairEvents): Promise<() => void>;
  /** Idempotent. */
  close(): Promise<void>;
}
