import { fits, type PeerSelector } from "./peer-selector.ts";
import type { PeerRecord } from "./registration.ts";

/** A peer that is registered. */
export interface PeerEntry {
  readonly record: PeerRecord;
  /** Milliseconds since 1970. */
  readonly registeredAtMs: number;
  /** The version of the set that it came with, and keeps when it registers again. */
  readonly joined: number;
  /** The secret of its lease. */
  readonly lease: string;
}

export interface SetChange {
  readonly version: number;
  readonly id: string;
  readonly before: PeerEntry | undefined;
  readonly after: PeerEntry | undefined;
}

/** What somebody with a selector sees of a change. */
export type SeenChange =
  | { readonly type: "put"; readonly entry: PeerEntry }
  | { readonly type: "gone"; readonly id: string };

export type ChangesSince =
  | {
      readonly type: "changes";
      readonly changes: readonly SeenChange[];
      /** The version that these lead to. */
      readonly version: number;
    }
  /** Those are no longer known. */
  | { readonly type: "too-old" };

export interface PeerSetOptions {
  /** How many changes are remembered for watchers that are behind; up to twice as many are. */
  readonly maxChanges: number;
  readonly epoch: string;
  /** Of the set as it begins. Default 0. */
  readonly version?: number;
  /** That it begins with, by `joined`. Default none. */
  readonly entries?: readonly PeerEntry[];
}

/** Changes that are looked at in one go, so that a watcher of few peers among many does not hold up the others. */
const maxScan = 4_096;

/**
 * The peers of a namespace, and how they became so: each change makes the next version. Knows nothing of leases and time.
 */
export class PeerSet {
  readonly #listeners = new Set<() => void>();
  readonly #maxChanges: number;
  readonly #entries = new Map<string, PeerEntry>();
  /** By `joined`. */
  readonly #order: PeerEntry[] = [];
  /** Those who serve it, in the same order: most look-ups are by service, and want few of many. */
  readonly #byService = new Map<string, PeerEntry[]>();
  /** The last ones, without a gap, up to the present version. */
  #log: SetChange[] = [];
  readonly #followers = new Map<string, Set<() => void>>();
  /** Versions of sets with another one have nothing to do with those of this one. */
  readonly epoch: string;
  #version: number;
  #changedAt = 0;
  #users = 0;
  #isCurrent = true;

  constructor({ maxChanges, epoch, version = 0, entries = [] }: PeerSetOptions) {
    this.#maxChanges = maxChanges;
    this.epoch = epoch;
    this.#version = version;
    for (const entry of entries) {
      this.#entries.set(entry.record.id.toString(), entry);
      this.#index(undefined, entry);
    }
  }

  /** Whether somebody needs the set, also when it is empty. */
  get isRetained(): boolean {
    return this.#users > 0;
  }

  /** Says that somebody needs the set. Returns the function that ends that. */
  retain(): () => void {
    this.#users += 1;
    let released = false;
    return () => {
      this.#users -= released ? 0 : 1;
      released = true;
    };
  }

  get version(): number {
    return this.#version;
  }

  /** The last version in which a peer has changed or gone: since then others have come, and that is all. */
  get changedAt(): number {
    return this.#changedAt;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Those that registered first at first. */
  get entries(): readonly PeerEntry[] {
    return this.#order;
  }

  get(id: string): PeerEntry | undefined {
    return this.#entries.get(id);
  }

  /** False once the set is kept up to date no more. */
  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  /** The set is kept up to date no more. */
  abandon(): void {
    this.#isCurrent = false;
    for (const followers of [...this.#followers.values()]) {
      for (const follower of [...followers]) {
        follower();
      }
    }
    this.#notify();
  }

  /** Makes the next version, in which the peer has come, changed, or gone (undefined). */
  apply(id: string, after: PeerEntry | undefined): void {
    const before = this.#entries.get(id);
    this.#version += 1;
    if (after === undefined) {
      this.#entries.delete(id);
    } else {
      this.#entries.set(id, after);
    }
    if (before !== undefined) {
      this.#changedAt = this.#version;
    }
    this.#index(before, after);
    this.#log.push({ version: this.#version, id, before, after });
    // Now and then, so that it costs nothing each time.
    if (this.#log.length >= 2 * this.#maxChanges) {
      this.#log = this.#log.slice(-this.#maxChanges);
    }
    for (const follower of [...(this.#followers.get(id) ?? [])]) {
      follower();
    }
    this.#notify();
  }

  /** Calls `listener` after each change, of any peer. Returns the function that ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Calls `follower` after each change of the peer. Returns the function that ends that. */
  follow(id: string, follower: () => void): () => void {
    const followers = this.#followers.get(id) ?? new Set();
    this.#followers.set(id, followers);
    followers.add(follower);
    return () => {
      followers.delete(follower);
      if (followers.size === 0 && this.#followers.get(id) === followers) {
        this.#followers.delete(id);
      }
    };
  }

  /**
   * Up to `limit` peers that fit, of those that joined after version `after`, up to `upTo`. `next` is where to go on;
   * undefined when there are no more.
   */
  page(
    selector: PeerSelector,
    { after, limit, upTo = Infinity }: { after: number; limit: number; upTo?: number },
  ): { readonly entries: readonly PeerEntry[]; readonly next: number | undefined } {
    const candidates = this.#candidates(selector);
    const entries: PeerEntry[] = [];
    for (let at = positionIn(candidates, after + 1); at < candidates.length; at += 1) {
      const entry = candidates[at];
      if (entry === undefined || entry.joined > upTo) {
        break;
      }
      if (fits(selector, entry.record)) {
        if (entries.length === limit) {
          return { entries, next: entries.at(-1)?.joined ?? after };
        }
        entries.push(entry);
      }
    }
    return { entries, next: undefined };
  }

  /** Whether all that has changed since this version is remembered. */
  knowsSince(version: number): boolean {
    const first = this.#log[0]?.version ?? this.#version + 1;
    return version <= this.#version && version + 1 >= first;
  }

  /** What somebody with this selector has to know who knows the set as it was in `version`; at most `limit` changes. */
  changesSince(version: number, selector: PeerSelector, limit: number): ChangesSince {
    if (!this.knowsSince(version)) {
      return { type: "too-old" };
    }
    const first = this.#log[0]?.version ?? this.#version + 1;
    const changes: SeenChange[] = [];
    const end = Math.min(this.#log.length, version + 1 - first + maxScan);
    let reached = version;
    for (let at = version + 1 - first; at < end && changes.length < limit; at += 1) {
      const change = this.#log[at];
      if (change === undefined) {
        break;
      }
      reached = change.version;
      if (change.after !== undefined && fits(selector, change.after.record)) {
        changes.push({ type: "put", entry: change.after });
      } else if (change.before !== undefined && fits(selector, change.before.record)) {
        changes.push({ type: "gone", id: change.id });
      }
    }
    return { type: "changes", changes, version: reached };
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) {
      listener();
    }
  }

  /** Those who may fit, by `joined`. */
  #candidates({ ids, service }: PeerSelector): readonly PeerEntry[] {
    if (ids !== undefined) {
      return [...ids]
        .flatMap((id) => this.#entries.get(id) ?? [])
        .sort((a, b) => a.joined - b.joined);
    }
    return service === undefined ? this.#order : (this.#byService.get(service) ?? []);
  }

  #index(before: PeerEntry | undefined, after: PeerEntry | undefined): void {
    replaceIn(this.#order, before, after);
    const services = new Set([
      ...(before?.record.services ?? []),
      ...(after?.record.services ?? []),
    ]);
    for (const service of services) {
      const those = this.#byService.get(service) ?? [];
      const serving = (entry: PeerEntry | undefined): PeerEntry | undefined =>
        entry?.record.services.includes(service) === true ? entry : undefined;
      replaceIn(those, serving(before), serving(after));
      if (those.length === 0) {
        this.#byService.delete(service);
      } else {
        this.#byService.set(service, those);
      }
    }
  }
}

/** Puts an entry in the place of another, or where its `joined` belongs. */
function replaceIn(
  entries: PeerEntry[],
  before: PeerEntry | undefined,
  after: PeerEntry | undefined,
): void {
  if (before !== undefined && after?.joined === before.joined) {
    entries[positionIn(entries, before.joined)] = after;
    return;
  }
  if (before !== undefined) {
    entries.splice(positionIn(entries, before.joined), 1);
  }
  if (after !== undefined) {
    entries.splice(positionIn(entries, after.joined), 0, after);
  }
}

/** The index of the first entry that joined with this version or later. */
function positionIn(entries: readonly PeerEntry[], joined: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((entries[middle]?.joined ?? Infinity) < joined) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
