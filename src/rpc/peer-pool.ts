import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { SourcePeer } from "./peer-source.ts";
import { type BackoffOptions, backoffMs } from "./redial-plan.ts";
import { hashText, weightOf } from "./rendezvous-hash.ts";

/** What becomes of a peer. */
export type PooledState =
  | { readonly type: "idle" }
  /** It is dialed, or has not said yet whether it serves. */
  | { readonly type: "connecting" }
  | { readonly type: "ready" }
  /** It is connected, and says that it does not serve at present. */
  | { readonly type: "unhealthy" }
  /** It is left alone until then, because of its problem. */
  | { readonly type: "aside"; readonly untilMs: number };

export type PeerProblem =
  | { readonly type: "unhealthy" }
  | { readonly type: "unreachable"; readonly error: unknown };

export interface PooledPeer {
  readonly id: EndpointId;
  readonly addr: EndpointAddr;
  readonly state: PooledState;
  /** Why it was set aside, until it has proved to serve. */
  readonly problem: PeerProblem | undefined;
  /** Round trip, as it was measured last. Milliseconds. */
  latencyMs: number | undefined;
}

export interface PeerPoolOptions {
  readonly policy: "nearest" | "round-robin" | "sticky";
  /** Peers that are connected or dialed at once. */
  readonly maxConnections: number;
  /** Peers that are remembered; of more than that the pool learns nothing. */
  readonly maxPeers: number;
  /** The caller's own id, which is never called. Of too many peers each caller connects to others. */
  readonly self: string;
  /** How long a call waits for one peer that is dialed, before it looks for the next. Milliseconds. */
  readonly patienceMs: number;
  /** Whether calls run on the connection to the peer. */
  readonly isBusy: (peer: PooledPeer) => boolean;
}

/** What is to be done, and when to ask again at the latest. */
export interface PoolStep {
  /** The order counts: a peer that has come back is let go first. */
  readonly disconnect: readonly PooledPeer[];
  readonly connect: readonly PooledPeer[];
  readonly nextMs: number | undefined;
}

export interface PickOptions {
  /** With the policy "sticky": what says where the call goes. */
  readonly key?: string | undefined;
  /** Those that have refused the call. They are tried again only when there is nobody else. */
  readonly refused?: ReadonlySet<PooledPeer> | undefined;
}

/** The wait before a peer is dialed again that could not be reached, or did not serve. */
export const peerBackoff: BackoffOptions = { initialMs: 200, maxMs: 30_000, jitter: 0.5 };

/** The wait between dials after several peers in a row could not be reached. */
const poolBackoff: BackoffOptions = { initialMs: 50, maxMs: 2_000, jitter: 0.5 };

/** With "nearest" and more peers than connections: how often the slowest makes room for another. Milliseconds. */
export const exploreMs = 60_000;

interface Pooled extends PooledPeer {
  addr: EndpointAddr;
  readonly key: string;
  readonly hash: number;
  /** The heaviest are connected first. */
  readonly weight: number;
  state: PooledState;
  problem: PeerProblem | undefined;
  /** In a row. */
  failures: number;
  /** When it was given a call, and when it was dialed: by count, 0 is never. */
  usedAt: number;
  dialedAt: number;
  /** When a call is to look for another one, if it is still not connected. */
  patientUntilMs: number;
}

/**
 * The peers of a service: which are connected, and which one a call goes to. Pure: `now` is monotonic milliseconds, `random`
 * a number in [0, 1). After each change, and at the time that it names, {@link step} says what is to be done; what comes of
 * that is told by {@link ready}, {@link unhealthy} and {@link failed}.
 */
export class PeerPool {
  readonly #options: PeerPoolOptions;
  readonly #selfHash: number;
  readonly #peers = new Map<string, Pooled>();
  /** Told before the source began anew, and not since. */
  #unseen: Set<Pooled> | undefined;
  #isComplete = false;
  /** Those that are connected or dialed. */
  readonly #linked = new Set<Pooled>();
  #count = 0;
  /** Of all peers, in a row. */
  #failures = 0;
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #exploreAtMs: number | undefined;
  #connects: Pooled[] = [];
  #disconnects: Pooled[] = [];

  constructor(options: PeerPoolOptions) {
    this.#options = options;
    this.#selfHash = hashText(options.self);
  }

  get peers(): Iterable<PooledPeer> {
    return this.#peers.values();
  }

  /** The source has told all that there are, at least once. */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /** The source begins anew. */
  begin(): void {
    this.#unseen = new Set(this.#peers.values());
  }

  put({ id, addr }: SourcePeer): void {
    const key = id.toString();
    const known = this.#peers.get(key);
    if (known !== undefined) {
      this.#unseen?.delete(known);
      known.addr = addr;
      // Whoever registers again is probably there again.
      known.failures = 0;
      known.problem = undefined;
      if (known.state.type === "aside") {
        this.#become(known, { type: "idle" });
      }
    } else if (key !== this.#options.self && this.#peers.size < this.#options.maxPeers) {
      const hash = hashText(key);
      const peer: Pooled = {
        id,
        addr,
        key,
        hash,
        weight: weightOf(this.#selfHash, hash),
        state: { type: "idle" },
        problem: undefined,
        latencyMs: undefined,
        failures: 0,
        usedAt: 0,
        dialedAt: 0,
        patientUntilMs: 0,
      };
      this.#peers.set(key, peer);
    }
  }

  gone(id: EndpointId): void {
    const peer = this.#peers.get(id.toString());
    if (peer !== undefined) {
      this.#unseen?.delete(peer);
      this.#peers.delete(peer.key);
      this.#letGo(peer, { type: "idle" });
    }
  }

  complete(): void {
    this.#isComplete = true;
    const unseen = this.#unseen;
    this.#unseen = undefined;
    for (const { id } of unseen ?? []) {
      this.gone(id);
    }
  }

  /** It is connected and serves. */
  ready(peer: PooledPeer): void {
    const pooled = this.#connected(peer);
    if (pooled !== undefined) {
      pooled.failures = 0;
      pooled.problem = undefined;
      this.#failures = 0;
      this.#become(pooled, { type: "ready" });
    }
  }

  /** It is connected and does not serve. */
  unhealthy(peer: PooledPeer): void {
    const pooled = this.#connected(peer);
    if (pooled !== undefined) {
      pooled.problem = undefined;
      this.#failures = 0;
      this.#become(pooled, { type: "unhealthy" });
    }
  }

  /** It could not be reached, or the connection to it is lost. */
  failed(peer: PooledPeer, error: unknown, now: number, random: number): void {
    const pooled = this.#connected(peer);
    if (pooled !== undefined) {
      const at = this.#connects.indexOf(pooled);
      if (at >= 0) {
        this.#connects.splice(at, 1);
      }
      this.#setAside(pooled, { type: "unreachable", error }, now, random);
      this.#failures += 1;
      const others = this.#failures - this.#options.maxConnections;
      if (others >= 0) {
        this.#notBeforeMs = now + backoffMs(poolBackoff, others, random);
      }
    }
  }

  /** The peer for a call: one that is ready, or undefined when it is to wait for the next change. */
  pick(now: number, { key = "", refused }: PickOptions = {}): PooledPeer | undefined {
    const isRefused = (peer: Pooled): boolean => refused?.has(peer) === true;
    const choose = (allowed: (peer: Pooled) => boolean): Pooled | undefined =>
      this.#options.policy === "sticky"
        ? this.#first(hashText(key), allowed, now)
        : this.#best(allowed);
    let peer = choose((each) => !isRefused(each));
    const isHoped = (each: Pooled): boolean =>
      each.state.type === "connecting" && isUntried(each, now) && !isRefused(each);
    if (peer === undefined && refused !== undefined && !this.#some(isHoped)) {
      peer = choose(isRefused);
    }
    if (peer !== undefined) {
      this.#count += 1;
      peer.usedAt = this.#count;
    }
    return peer;
  }

  /** What is to be done now. */
  step(now: number, random: number): PoolStep {
    if (this.#options.policy !== "sticky") {
      this.#fill(now, random);
    }
    if (this.#options.policy === "nearest") {
      this.#explore(now, random);
    }
    const connect = this.#connects;
    const disconnect = this.#disconnects;
    this.#connects = [];
    this.#disconnects = [];
    return { connect, disconnect, nextMs: this.#nextMs(now) };
  }

  /** Of those that are ready the nearest, or the one that has waited longest for a call. */
  #best(allowed: (peer: Pooled) => boolean): Pooled | undefined {
    const byLatency = this.#options.policy === "nearest";
    let best: Pooled | undefined;
    for (const peer of this.#linked) {
      if (peer.state.type === "ready" && allowed(peer)) {
        const further = best === undefined || !byLatency ? 0 : latencyOf(best) - latencyOf(peer);
        if (best === undefined || further > 0 || (further === 0 && peer.usedAt < best.usedAt)) {
          best = peer;
        }
      }
    }
    return best;
  }

  /** Of those that the key prefers, the first one that is ready; nobody where one before it is to be waited for. */
  #first(keyHash: number, allowed: (peer: Pooled) => boolean, now: number): Pooled | undefined {
    const target = new Heaviest(keyHash);
    const again = new Heaviest(keyHash);
    for (const peer of this.#peers.values()) {
      const { state } = peer;
      if (!allowed(peer)) {
        continue;
      }
      if (state.type === "ready" || isUntried(peer, now)) {
        target.weigh(peer);
      } else if (state.type === "aside" && state.untilMs <= now) {
        again.weigh(peer);
      }
    }
    if (again.peer !== undefined && again.isBefore(target)) {
      // Calls go elsewhere until it has proved to be there.
      this.#open(again.peer, now, target.peer);
    }
    if (target.peer?.state.type === "idle" && !this.#open(target.peer, now)) {
      const ready = new Heaviest(keyHash);
      for (const peer of this.#linked) {
        if (allowed(peer) && peer.state.type === "ready") {
          ready.weigh(peer);
        }
      }
      return ready.peer;
    }
    return target.peer?.state.type === "ready" ? target.peer : undefined;
  }

  /** Dials the peer, if need be in the place of one that has had no call for longest, but not of `kept`. */
  #open(peer: Pooled, now: number, kept?: Pooled): boolean {
    if (now < this.#notBeforeMs) {
      return false;
    }
    if (this.#linked.size >= this.#options.maxConnections) {
      const unused = this.#leastOf(
        (each) =>
          each !== kept &&
          (each.state.type === "unhealthy" ||
            (each.state.type === "ready" && !this.#options.isBusy(each))),
        (each) => each.usedAt,
      );
      if (unused === undefined) {
        return false;
      }
      const isUnhealthy = unused.state.type === "unhealthy";
      this.#letGo(unused, { type: "idle" });
      if (isUnhealthy) {
        // Or it would be the first again for those keys that prefer it. Its weight is another for each caller.
        this.#setAside(unused, { type: "unhealthy" }, now, unused.weight / 2 ** 32);
      }
    }
    this.#dial(peer, now);
    return true;
  }

  /** Keeps as many connected as may be, and rather those that serve. */
  #fill(now: number, random: number): void {
    const { maxConnections } = this.#options;
    if (now < this.#notBeforeMs || this.#peers.size <= this.#linked.size) {
      return;
    }
    for (;;) {
      const unhealthy =
        this.#linked.size < maxConnections
          ? undefined
          : this.#leastOf(
              ({ state }) => state.type === "unhealthy",
              ({ dialedAt }) => dialedAt,
            );
      const hasRoom = this.#linked.size < maxConnections || unhealthy !== undefined;
      const next = hasRoom ? this.#nextToDial(now) : undefined;
      if (next === undefined) {
        return;
      }
      if (unhealthy !== undefined) {
        this.#letGo(unhealthy, { type: "idle" });
        this.#setAside(unhealthy, { type: "unhealthy" }, now, random);
      }
      this.#dial(next, now);
    }
  }

  /** Where there are more peers than connections, one nearer than those may be among them. */
  #explore(now: number, random: number): void {
    const { isBusy, maxConnections } = this.#options;
    const isFull = this.#linked.size >= maxConnections && this.#peers.size > this.#linked.size;
    if (!isFull) {
      this.#exploreAtMs = undefined;
      return;
    }
    if (this.#exploreAtMs === undefined || this.#exploreAtMs <= now) {
      const isDue = this.#exploreAtMs !== undefined;
      this.#exploreAtMs = now + exploreMs * (0.75 + 0.5 * random);
      const next = isDue ? this.#nextToDial(now) : undefined;
      const slowest = this.#leastOf(
        (peer) => peer.state.type === "ready" && !isBusy(peer),
        (peer) => -latencyOf(peer),
      );
      if (next !== undefined && slowest !== undefined) {
        this.#letGo(slowest, { type: "idle" });
        this.#dial(next, now);
      }
    }
  }

  /** Those first that have never been dialed, and of these those that are this caller's. */
  #nextToDial(now: number): Pooled | undefined {
    let best: Pooled | undefined;
    for (const peer of this.#peers.values()) {
      const { state } = peer;
      if (state.type === "idle" || (state.type === "aside" && state.untilMs <= now)) {
        const earlier = best === undefined ? -1 : peer.dialedAt - best.dialedAt;
        if (best === undefined || earlier < 0 || (earlier === 0 && peer.weight > best.weight)) {
          best = peer;
        }
      }
    }
    return best;
  }

  /** Of those that are connected or dialed. */
  #leastOf(
    allowed: (peer: Pooled) => boolean,
    measure: (peer: Pooled) => number,
  ): Pooled | undefined {
    let least: Pooled | undefined;
    for (const peer of this.#linked) {
      if (allowed(peer) && (least === undefined || measure(peer) < measure(least))) {
        least = peer;
      }
    }
    return least;
  }

  /** Of those that are connected or dialed. */
  #some(wanted: (peer: Pooled) => boolean): boolean {
    for (const peer of this.#linked) {
      if (wanted(peer)) {
        return true;
      }
    }
    return false;
  }

  #dial(peer: Pooled, now: number): void {
    this.#count += 1;
    peer.dialedAt = this.#count;
    peer.patientUntilMs = now + this.#options.patienceMs;
    this.#become(peer, { type: "connecting" });
    this.#connects.push(peer);
  }

  /** Without a connection, or with one that is to be ended. */
  #letGo(peer: Pooled, state: PooledState): void {
    if (isConnected(peer)) {
      const at = this.#connects.indexOf(peer);
      if (at >= 0) {
        this.#connects.splice(at, 1);
      } else {
        this.#disconnects.push(peer);
      }
    }
    this.#become(peer, state);
  }

  #setAside(peer: Pooled, problem: PeerProblem, now: number, random: number): void {
    const untilMs = now + backoffMs(peerBackoff, peer.failures, random);
    peer.failures += 1;
    peer.problem = problem;
    this.#become(peer, { type: "aside", untilMs });
  }

  /** The one place where states change. */
  #become(peer: Pooled, state: PooledState): void {
    peer.state = state;
    if (isConnected(peer)) {
      this.#linked.add(peer);
    } else {
      this.#linked.delete(peer);
    }
  }

  /** The peer, if it is still one of the pool that has a connection. */
  #connected(peer: PooledPeer): Pooled | undefined {
    const pooled = this.#peers.get(peer.id.toString());
    return pooled === peer && isConnected(pooled) ? pooled : undefined;
  }

  #nextMs(now: number): number | undefined {
    const times: number[] = [];
    if (this.#exploreAtMs !== undefined) {
      times.push(this.#exploreAtMs);
    }
    if (this.#notBeforeMs > now) {
      times.push(this.#notBeforeMs);
    }
    for (const { patientUntilMs, state } of this.#peers.values()) {
      const untilMs =
        state.type === "aside" ? state.untilMs : state.type === "connecting" ? patientUntilMs : now;
      if (untilMs > now) {
        times.push(untilMs);
      }
    }
    return times.length === 0 ? undefined : times.reduce((least, time) => Math.min(least, time));
  }
}

function isConnected({ state }: PooledPeer): boolean {
  return state.type === "connecting" || state.type === "ready" || state.type === "unhealthy";
}

/** Nothing speaks against it, as far as one knows: it is worth waiting for. */
function isUntried({ failures, patientUntilMs, state }: Pooled, now: number): boolean {
  return (
    failures === 0 &&
    (state.type === "idle" || (state.type === "connecting" && now < patientUntilMs))
  );
}

function latencyOf({ latencyMs }: PooledPeer): number {
  // Finite, so that two of them can be subtracted.
  return latencyMs ?? Number.MAX_SAFE_INTEGER;
}

/** Finds the first in the order of a key. */
class Heaviest {
  peer: Pooled | undefined;
  #weight = -1;
  readonly #keyHash: number;

  constructor(keyHash: number) {
    this.#keyHash = keyHash;
  }

  weigh(peer: Pooled): void {
    const weight = weightOf(this.#keyHash, peer.hash);
    if (weight > this.#weight || (weight === this.#weight && peer.key < (this.peer?.key ?? ""))) {
      this.peer = peer;
      this.#weight = weight;
    }
  }

  isBefore(other: Heaviest): boolean {
    return this.#weight > other.#weight;
  }
}
