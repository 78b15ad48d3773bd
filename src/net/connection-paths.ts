import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import { PathLoss } from "./path-loss.ts";
import { type PathActivity, PathWatch } from "./path-watch.ts";
import type { PathCandidate } from "./select-path.ts";

/** A path as the engine tells of it. */
export interface PathState extends PathActivity {
  readonly id: number;
  readonly remote: SocketAddress;
  readonly status: "available" | "backup";
  /** Counts up. */
  readonly bytesSent: number;
  readonly packetsSent: number;
}

/** What paths need of a connection; the engine's `Multipath` says what each does. */
export interface PathPort {
  readonly role: "client" | "server";
  /** Addresses of ours that the peer has been told already. */
  readonly offered: readonly SocketAddress[];
  paths(): readonly PathState[];
  open(remote: SocketAddress, status: "available" | "backup"): "opened" | "later" | "unavailable";
  close(id: number): boolean;
  setStatus(id: number, status: "available" | "backup"): void;
  setIdleTimeout(id: number, timeoutMs: number): void;
  probeMtu(id: number, mtu: number): void;
  ping(id: number): void;
  addCandidate(address: SocketAddress): boolean;
  removeCandidate(address: SocketAddress): void;
  remoteCandidates(): readonly SocketAddress[] | undefined;
  punch(): "started" | "nothing" | "unavailable";
  networkChanged(dead: readonly number[]): void;
  /** Ends the connection: the peer has forgotten it. */
  giveUp(): void;
}

/** What paths have to know of relays. */
export interface RelayKnowledge {
  /** Whether an address stands for a relay. */
  isRelay(address: SocketAddress): boolean;
  /** When our own connection to that relay has shown life last; undefined while there is none. */
  relayHeardAt(address: SocketAddress): number | undefined;
  /** Has our own connection to that relay show life. */
  probeRelay(address: SocketAddress): void;
}

/** A relay's own connection may be on its way back. As iroh has it; direct paths have the engine's 15 seconds. */
const relayIdleTimeoutMs = 30_000;
/**
 * Datagrams over a relay travel in a stream, which takes them in any size, and each one costs the same whatever it carries.
 * Four of these fill a frame. Peers of other implementations take less, which they have said.
 */
const relayMtu = 16_000;
/** A relay that carried so much for a path carries bulk: one that has less to do needs no datagrams of that size. */
const relayBulkBytes = 65_536;
/** Addresses whose losses are remembered. */
const maxLosses = 16;
/** How often a path that was found to lose packets is asked, so that its recovery shows. */
const lossProbeMs = 1_000;

interface Watched {
  readonly id: number;
  readonly remote: SocketAddress;
  readonly key: string;
  readonly isRelay: boolean;
  readonly watch: PathWatch;
  readonly loss: PathLoss;
  /** Whether larger datagrams were tried on it, or need not be. */
  mtuProbed: boolean;
  probedAt: number;
  rttMs: number;
  /** Set while nothing is heard, though something should be. */
  deadSince: number | undefined;
}

/** The paths of one connection. */
export class ConnectionPaths {
  readonly port: PathPort;
  readonly #relays: RelayKnowledge;
  readonly #paths = new Map<number, Watched>();
  #offered: Map<string, SocketAddress> | undefined;
  /** By address, also of paths that are gone. */
  readonly #losses = new Map<string, PathLoss>();

  constructor(port: PathPort, relays: RelayKnowledge) {
    this.port = port;
    this.#relays = relays;
    if (port.offered.length > 0) {
      this.#offered = byKey(port.offered);
    }
  }

  get isClient(): boolean {
    return this.port.role === "client";
  }

  has(remote: SocketAddress): boolean {
    const key = formatSocketAddress(remote);
    return [...this.#paths.values()].some((path) => path.key === key);
  }

  count(): { readonly direct: number; readonly relay: number } {
    const direct = [...this.#paths.values()].filter(({ isRelay }) => !isRelay).length;
    return { direct, relay: this.#paths.size - direct };
  }

  /** Infinity when there is none. */
  bestDirectRttMs(): number {
    const direct = [...this.#paths.values()].filter(
      ({ isRelay, deadSince }) => !isRelay && deadSince === undefined,
    );
    return Math.min(...direct.map(({ rttMs }) => rttMs));
  }

  /** Makes `candidates` what the peer knows of our addresses. */
  offer(candidates: readonly SocketAddress[]): void {
    const wanted = byKey(candidates);
    for (const [key, address] of this.#offered ?? []) {
      if (!wanted.has(key)) {
        this.port.removeCandidate(address);
        this.#offered?.delete(key);
      }
    }
    for (const [key, address] of wanted) {
      if (this.#offered?.has(key) !== true && this.port.addCandidate(address)) {
        this.#offered ??= new Map();
        this.#offered.set(key, address);
      }
    }
  }

  /** Learns which paths there are, and tells what has become different. */
  refresh(now: number): {
    readonly opened: readonly Watched[];
    readonly closed: readonly Watched[];
  } {
    const opened: Watched[] = [];
    const closed: Watched[] = [];
    const states = new Map(this.port.paths().map((state) => [state.id, state]));
    for (const [id, path] of this.#paths) {
      const state = states.get(id);
      if (state === undefined || formatSocketAddress(state.remote) !== path.key) {
        this.#paths.delete(id);
        closed.push(path);
      }
    }
    for (const [id, state] of states) {
      if (!this.#paths.has(id)) {
        const path = this.#watched(state, now);
        this.#paths.set(id, path);
        opened.push(path);
        if (path.isRelay) {
          this.port.setIdleTimeout(id, relayIdleTimeoutMs);
        }
      }
    }
    return { opened, closed };
  }

  /** Among what to choose. */
  choices(): PathCandidate[] {
    for (const state of this.port.paths()) {
      const path = this.#paths.get(state.id);
      if (path !== undefined) {
        path.rttMs = state.rttMs;
      }
    }
    return [...this.#paths.values()].map(({ key, remote, isRelay, deadSince, rttMs, loss }) => ({
      key,
      kind: isRelay ? "relay" : "direct",
      family: remote.family,
      rttMs,
      lossy: loss.isLossy || deadSince !== undefined,
    }));
  }

  /** Has data go to `remote`, if there is a path. A client closes direct paths that are left over, never the relay's. */
  use(remote: SocketAddress): void {
    const key = formatSocketAddress(remote);
    const isThere = this.has(remote);
    const isDirect = isThere && !this.#relays.isRelay(remote);
    for (const state of this.port.paths()) {
      const path = this.#paths.get(state.id);
      if (path === undefined) {
        continue;
      }
      const isChosen = path.key === key;
      if (isDirect && !isChosen && !path.isRelay && this.isClient) {
        this.port.close(state.id);
        continue;
      }
      const status = isChosen || !isThere ? "available" : "backup";
      if (state.status !== status) {
        this.port.setStatus(state.id, status);
      }
    }
  }

  /** Whether it has no direct path that is known to live. */
  get isAlone(): boolean {
    return [...this.#paths.values()].every(
      ({ isRelay, deadSince }) => isRelay || deadSince !== undefined,
    );
  }

  /**
   * The paths that have turned out to be dead, each once: data goes elsewhere from then on, which also makes the peer
   * answer there. They are closed when others live. While all are silent it may be that this host has no network.
   */
  watch(now: number): readonly Watched[] {
    const stalled: Watched[] = [];
    const states = this.port.paths();
    for (const state of states) {
      const path = this.#paths.get(state.id);
      if (path === undefined) {
        continue;
      }
      path.loss.update(state);
      if (!path.mtuProbed && state.bytesSent >= relayBulkBytes) {
        path.mtuProbed = true;
        this.port.probeMtu(state.id, relayMtu);
      }
      if (path.loss.isLossy && now - path.probedAt >= lossProbeMs) {
        path.probedAt = now;
        this.port.ping(state.id);
      }
      switch (path.watch.look(state, now)) {
        case "ask":
          for (const { id, remote } of states) {
            this.port.ping(id);
            if (this.#relays.isRelay(remote)) {
              this.#relays.probeRelay(remote);
            }
          }
          break;
        case "silent":
          if (!path.isRelay) {
            if (path.deadSince === undefined) {
              path.deadSince = now;
              stalled.push(path);
            }
            if (this.#othersLive(path)) {
              this.port.close(state.id);
            }
          }
          break;
        case "alive":
          if (path.watch.askedAt === undefined) {
            path.deadSince = undefined;
          }
      }
    }
    return stalled;
  }

  /**
   * Whether another path has shown life since this one was asked for it; also where there is no other. Acknowledgements
   * travel with the data, so perhaps over the path that is dead: what arrives counts too, and that the relay answers.
   */
  #othersLive({ id, watch }: Watched): boolean {
    const { askedAt = Number.POSITIVE_INFINITY } = watch;
    const others = [...this.#paths.values()].filter((path) => path.id !== id);
    return (
      others.length === 0 ||
      others.some(({ watch, remote }) => {
        const heardAt = this.#relays.relayHeardAt(remote) ?? Number.NEGATIVE_INFINITY;
        return watch.lifeAt > askedAt || heardAt > askedAt;
      })
    );
  }

  /** Whether the peer has acknowledged anything since then. */
  livesSince(moment: number): boolean {
    return [...this.#paths.values()].some(({ watch }) => watch.acknowledgedAt > moment);
  }

  isIdle(now: number): boolean {
    return [...this.#paths.values()].every(({ watch, loss }) => watch.isIdle(now) && !loss.isLossy);
  }

  /** What went over the old network is dead, the relay apart, which comes back by itself. */
  networkChanged(): void {
    const direct = [...this.#paths].filter(([, { isRelay }]) => !isRelay).map(([id]) => id);
    if (this.isClient) {
      this.port.networkChanged(direct);
      return;
    }
    // The client would wait for its idle timeout: a server cannot open paths, and its old ones lead nowhere.
    for (const id of direct) {
      this.port.close(id);
    }
    this.port.networkChanged([]);
  }

  /** What is known of an address goes on for the next path there: a new one is no better than that before. */
  #lossOf(key: string): PathLoss {
    const loss = this.#losses.get(key) ?? new PathLoss();
    this.#losses.delete(key);
    this.#losses.set(key, loss);
    const [oldest = ""] = this.#losses.keys();
    if (this.#losses.size > maxLosses) {
      this.#losses.delete(oldest);
    }
    return loss;
  }

  #watched(state: PathState, now: number): Watched {
    const isRelay = this.#relays.isRelay(state.remote);
    return {
      id: state.id,
      remote: state.remote,
      key: formatSocketAddress(state.remote),
      isRelay,
      watch: new PathWatch(state, now),
      loss: this.#lossOf(formatSocketAddress(state.remote)),
      mtuProbed: !isRelay,
      probedAt: now,
      rttMs: state.rttMs,
      deadSince: undefined,
    };
  }
}

function byKey(addresses: readonly SocketAddress[]): Map<string, SocketAddress> {
  return new Map(addresses.map((address) => [formatSocketAddress(address), address]));
}
