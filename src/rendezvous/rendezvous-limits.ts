import { inRange } from "../rpc/check-options.ts";

/** What peers can make a place hold or do. What one registration can hold is the same for all places: `registrationLimits`. */
export interface RendezvousLimits {
  /** Registrations in all namespaces. Default 100_000, with 1 to 2 KiB each. */
  readonly maxRegistrations: number;
  /** Namespaces that one peer is registered in. Default 8. */
  readonly maxRegistrationsPerPeer: number;
  /** Namespaces with a peer in them. Default 1_000. */
  readonly maxNamespaces: number;
  /** How far a registration's date may be from the clock of the place. Milliseconds, default 300_000. */
  readonly maxClockSkewMs: number;
  /** What a peer gets that asks for none, and the limits for one that does. Milliseconds, default 30_000. */
  readonly leaseMs: number;
  /** Default 5_000. */
  readonly minLeaseMs: number;
  /** Default 600_000. */
  readonly maxLeaseMs: number;
  /**
   * Renewals in a second, about, beyond which peers that ask for no lease get a longer one, up to `maxLeaseMs`: from 2_500
   * peers at this place on. Default 250, which take less than a fifth of a core.
   */
  readonly renewalsPerSecond: number;
  /** How long a registration outlives the call that held it. Milliseconds, default 3_000. */
  readonly graceMs: number;
  /** Peers on one page, and changes in one message to a watcher. Default 200. */
  readonly maxPageSize: number;
  /** Changes of a namespace that are remembered for watchers that are behind, once or twice over. Default 16_384. */
  readonly maxChanges: number;
  /** Calls that watch at once. Default 10_000. */
  readonly maxWatches: number;
  /** Of one caller: a peer, or an address of the web. Default 64. */
  readonly maxWatchesPerCaller: number;
  /**
   * Messages to watchers in a second, of all of them. Where much changes each message has what has happened since the one
   * before: with 1_000 watchers 0.2 seconds. Default 5_000, which take about half of a core.
   */
  readonly watchMessagesPerSecond: number;
  /** Calls of one peer that wait for a partner, or have one. Default 16. */
  readonly maxPairsPerPeer: number;
  /** Such calls of all peers. Default 10_000. */
  readonly maxPairs: number;
  /** Registrations of one caller in a second, on average, and ten times that at once: each costs a signature's check. Default 100. */
  readonly registrationsPerSecond: number;
}

export const defaultRendezvousLimits: RendezvousLimits = {
  maxRegistrations: 100_000,
  maxRegistrationsPerPeer: 8,
  maxNamespaces: 1_000,
  maxClockSkewMs: 300_000,
  leaseMs: 30_000,
  minLeaseMs: 5_000,
  maxLeaseMs: 600_000,
  renewalsPerSecond: 250,
  graceMs: 3_000,
  maxPageSize: 200,
  maxChanges: 16_384,
  maxWatches: 10_000,
  maxWatchesPerCaller: 64,
  watchMessagesPerSecond: 5_000,
  maxPairsPerPeer: 16,
  maxPairs: 10_000,
  registrationsPerSecond: 100,
};

/** Throws TypeError or RangeError naming the limit that cannot be. */
export function resolveRendezvousLimits(limits: Partial<RendezvousLimits> = {}): RendezvousLimits {
  const resolved = { ...defaultRendezvousLimits, ...limits };
  for (const name of Object.keys(defaultRendezvousLimits) as (keyof RendezvousLimits)[]) {
    inRange(`limits.${name}`, resolved[name], 1, 2 ** 31 - 1);
  }
  if (resolved.minLeaseMs > resolved.leaseMs || resolved.leaseMs > resolved.maxLeaseMs) {
    throw new RangeError("option limits: leaseMs has to lie between minLeaseMs and maxLeaseMs");
  }
  return resolved;
}
