import type { Platform, Timer } from "../base/platform.ts";
import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import { ConnectionPaths, type PathPort, type RelayKnowledge } from "./connection-paths.ts";
import type { InterfaceChange } from "./interface-watch.ts";
import { PathWatch } from "./path-watch.ts";
import { selectPath } from "./select-path.ts";

/** What is told of the paths to a peer, as it happens. */
export type PathEvent =
  | { readonly type: "opened" | "closed" | "stalled" | "selected"; readonly remote: SocketAddress }
  | { readonly type: "punching"; readonly addresses: readonly SocketAddress[] };

export interface RemotePathsOptions extends RelayKnowledge {
  readonly platform: Platform;
  /** Addresses of ours that the peer may try now. */
  candidates(): readonly SocketAddress[];
  /** Gets what happens. */
  report(event: PathEvent): void;
}

/** Addresses of a peer that are remembered, from whatever source. As iroh has it. */
const maxKnown = 32;
/** Between two attempts with the same addresses. As iroh has it. */
const punchIntervalMs = 5_000;
/** When there were no addresses although both sides have told some, and when no more paths can be opened now. */
const retryMs = 100;
const maxRetries = 20;
const openAgainMs = 333;
/**
 * An address whose path was given up is not tried again for so long, or so many round-trip times: as long as QUIC remembers
 * the old path it takes the new one for validated, and sends data where nothing may arrive.
 */
const drainMs = 1_000;
const drainRtts = 10;
/** How often a better path is looked for. As iroh has it. */
const upgradeIntervalMs = 60_000;
/** A direct path as fast as this needs no better one. As iroh has it. */
const goodEnoughRttMs = 10;
/** The least idle timeout of peers, as iroh has it: who has slept for longer was forgotten. */
const forgottenAfterMs = 30_000;
/** Unless there is an answer within this time. */
const answerWithinMs = 2_500;
/** After a direct path was lost, attempts come at these times, besides those for other reasons. */
const recoveryDelaysMs = [0, 1_000, 3_000, 8_000, 15_000, 30_000];

interface ClosedPath {
  readonly key: string;
  readonly isRelay: boolean;
  readonly rttMs: number;
}

/**
 * The paths to one peer, over all connections with it: which exist, which carries data, and when to look for others. It
 * does what iroh's socket does (iroh, remote_state.rs), so that both understand each other, and beyond that notices dead
 * and lossy paths.
 *
 * Each side chooses for what it sends itself. Only the client opens paths and begins rounds of punching; a server offers
 * addresses and can close.
 */
export class RemotePaths {
  readonly #options: RemotePathsOptions;
  readonly #known = new Map<string, SocketAddress>();
  readonly #connections = new Map<PathPort, ConnectionPaths>();
  /** To open when more paths are allowed. */
  readonly #toOpen = new Map<string, SocketAddress>();
  /** By address whose path was given up: until when it is left alone. */
  readonly #draining = new Map<string, number>();
  #selected: string | undefined;
  #lastPunch:
    | { readonly at: number; readonly remote: Set<string>; readonly own: Set<string> }
    | undefined;
  #retries = 0;
  #punchTimer: Timer | undefined;
  #openTimer: Timer | undefined;
  #upgradeTimer: Timer | undefined;
  #watchTimer: Timer | undefined;
  #wakeTimer: Timer | undefined;
  #recovery: Timer[] = [];

  constructor(options: RemotePathsOptions) {
    this.#options = options;
  }

  /** Addresses at which the peer may be, the oldest forgotten first when there are too many. */
  get known(): readonly SocketAddress[] {
    return [...this.#known.values()];
  }

  /** The address that data goes to, once there is a connection. */
  get selected(): SocketAddress | undefined {
    return this.#selected === undefined ? undefined : this.#known.get(this.#selected);
  }

  get hasConnections(): boolean {
    return this.#connections.size > 0;
  }

  /**
   * Where the first packets of a dial go: everywhere, or where data goes already. Relays come last, since a server begins
   * where it was reached first. iroh 0.98 even never gets further when a direct copy follows one by relay.
   */
  get destinations(): readonly SocketAddress[] {
    const { known, selected } = this;
    if (selected !== undefined) {
      return [selected];
    }
    const isRelay = (address: SocketAddress): boolean => this.#options.isRelay(address);
    return [...known.filter((address) => !isRelay(address)), ...known.filter(isRelay)];
  }

  /** Takes addresses in at which the peer may be. Relays among them become backups of connections that we dialed. */
  addKnown(addresses: readonly SocketAddress[]): void {
    for (const address of addresses) {
      const isNew = !this.#known.has(formatSocketAddress(address));
      this.#remember(address);
      if (isNew && this.#options.isRelay(address)) {
        for (const connection of this.#connections.values()) {
          this.#openBackup(connection, address);
        }
      }
    }
  }

  /** A connection with the peer is there. To be followed by `changed` whenever its paths change, and by `closed`. */
  opened(port: PathPort): void {
    const connection = new ConnectionPaths(port, this.#options);
    this.#connections.set(port, connection);
    this.changed(port);
    for (const address of this.#known.values()) {
      if (this.#options.isRelay(address)) {
        this.#openBackup(connection, address);
      }
    }
    this.#punch();
    this.#upgradeTimer ??= this.#later(upgradeIntervalMs, this.#upgrade);
  }

  /** The engine's paths have changed. */
  changed(port: PathPort): void {
    const connection = this.#connections.get(port);
    if (connection === undefined) {
      return;
    }
    const { opened, closed } = connection.refresh(this.#now());
    for (const path of opened) {
      this.#remember(path.remote);
      this.#options.report({ type: "opened", remote: path.remote });
    }
    for (const path of closed) {
      this.#leaveAlone(path);
      this.#options.report({ type: "closed", remote: path.remote });
    }
    const lostDirect = closed.some(({ remote }) => !this.#options.isRelay(remote));
    // Peers that reach each other without a relay know enough addresses.
    if (connection.count().relay > 0) {
      connection.offer(this.#options.candidates());
    }
    this.#select();
    if (lostDirect && connection.isAlone) {
      this.#recover();
    }
  }

  /** The server has told of other addresses. */
  candidatesChanged(): void {
    this.#retries = 0;
    this.#punch();
  }

  closed(port: PathPort): void {
    this.#connections.delete(port);
    if (this.#connections.size > 0) {
      this.#select();
      return;
    }
    this.#selected = undefined;
    this.#lastPunch = undefined;
    this.#toOpen.clear();
    this.#draining.clear();
    this.close();
  }

  /**
   * Own addresses are others now. `major`: what worked may not any more, because an address is gone or the host has slept.
   */
  ownCandidatesChanged({ major, sleptMs = 0 }: InterfaceChange): void {
    const candidates = this.#options.candidates();
    for (const connection of this.#connections.values()) {
      connection.offer(candidates);
      if (major) {
        connection.networkChanged();
      }
    }
    this.#retries = 0;
    if (major) {
      this.#lastPunch = undefined;
      this.#recover();
    } else {
      this.#punch();
    }
    this.touched();
    if (sleptMs >= forgottenAfterMs) {
      this.#wake();
    }
  }

  /** After a sleep in which peers must have given us up: connections that show no life soon are over. */
  #wake(): void {
    const wokenAt = this.#now();
    for (const { port } of this.#connections.values()) {
      for (const { id } of port.paths()) {
        port.ping(id);
      }
    }
    this.#wakeTimer ??= this.#later(answerWithinMs, () => {
      this.#wakeTimer = undefined;
      for (const connection of [...this.#connections.values()]) {
        if (!connection.livesSince(wokenAt)) {
          connection.port.giveUp();
        }
      }
    });
  }

  /** Something was sent to the peer: from now on its answers are watched for. Cheap. */
  touched(): void {
    if (this.#watchTimer === undefined && this.#connections.size > 0) {
      this.#watchTimer = this.#later(PathWatch.intervalMs, this.#watch);
    }
  }

  /** Stops all timers. Nothing else is to be called afterwards, save `opened`. */
  close(): void {
    const { platform } = this.#options;
    const timers = [
      this.#punchTimer,
      this.#openTimer,
      this.#upgradeTimer,
      this.#watchTimer,
      this.#wakeTimer,
    ];
    for (const timer of [...timers, ...this.#recovery]) {
      if (timer !== undefined) {
        platform.clearTimer(timer);
      }
    }
    this.#punchTimer = undefined;
    this.#openTimer = undefined;
    this.#upgradeTimer = undefined;
    this.#watchTimer = undefined;
    this.#wakeTimer = undefined;
    this.#recovery = [];
  }

  #remember(address: SocketAddress): void {
    const key = formatSocketAddress(address);
    this.#known.delete(key);
    this.#known.set(key, address);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= maxKnown) {
        break;
      }
      if (oldest !== this.#selected) {
        this.#known.delete(oldest);
      }
    }
  }

  #select(): void {
    const paths = [...this.#connections.values()].flatMap((connection) => connection.choices());
    const selected = selectPath(this.#selected, paths);
    const isNew = selected !== undefined && selected !== this.#selected;
    this.#selected = selected ?? this.#selected;
    const remote = this.selected;
    if (remote === undefined) {
      return;
    }
    for (const connection of this.#connections.values()) {
      connection.use(remote);
      if (!connection.has(remote)) {
        this.#open(connection, remote);
      }
    }
    if (isNew) {
      this.#options.report({ type: "selected", remote });
    }
  }

  #leaveAlone({ key, isRelay, rttMs }: ClosedPath): void {
    const now = this.#now();
    for (const [address, until] of this.#draining) {
      if (until <= now) {
        this.#draining.delete(address);
      }
    }
    if (!isRelay) {
      this.#draining.set(key, now + Math.max(drainMs, drainRtts * rttMs));
    }
  }

  #openBackup(connection: ConnectionPaths, relay: SocketAddress): void {
    if (!connection.has(relay)) {
      this.#open(connection, relay);
    }
  }

  #open(connection: ConnectionPaths, address: SocketAddress): void {
    const key = formatSocketAddress(address);
    const status = key === this.#selected ? "available" : "backup";
    const isDraining = (this.#draining.get(key) ?? 0) > this.#now();
    if (isDraining ? connection.isClient : connection.port.open(address, status) === "later") {
      this.#toOpen.set(key, address);
      this.#openTimer ??= this.#later(openAgainMs, this.#openAgain);
    }
  }

  readonly #openAgain = (): void => {
    this.#openTimer = undefined;
    const waiting = [...this.#toOpen.values()];
    this.#toOpen.clear();
    for (const address of waiting) {
      for (const connection of this.#connections.values()) {
        this.#openBackup(connection, address);
      }
    }
  };

  /** Begins a round when there is something new to try, or it is time again. */
  #punch(): void {
    const connection = [...this.#connections.values()].find(({ isClient }) => isClient);
    const remote = connection?.port.remoteCandidates();
    const own = this.#options.candidates();
    // Without addresses of ours there is nothing to do until they come.
    if (connection === undefined || remote === undefined || own.length === 0 || this.#isGood()) {
      return;
    }
    // The peer's may be on their way. Meanwhile it sends to ours, and its NAT lets us in; a direct path can wait for them.
    if (remote.length === 0 && connection.count().direct > 0) {
      return;
    }
    const remoteKeys = new Set(remote.map(formatSocketAddress));
    const ownKeys = new Set(own.map(formatSocketAddress));
    const last = this.#lastPunch;
    if (last !== undefined && isWithin(remoteKeys, last.remote) && isWithin(ownKeys, last.own)) {
      const waitMs = last.at + punchIntervalMs - this.#now();
      if (waitMs > 0) {
        this.#punchIn(waitMs);
        return;
      }
    }
    switch (connection.port.punch()) {
      case "started":
        this.#retries = 0;
        this.#lastPunch = { at: this.#now(), remote: remoteKeys, own: ownKeys };
        this.#options.report({ type: "punching", addresses: remote });
        break;
      case "nothing":
        this.#retries += 1;
        if (this.#retries <= maxRetries) {
          this.#punchIn(retryMs);
        }
        break;
      case "unavailable":
        break;
    }
  }

  #punchIn(delayMs: number): void {
    if (this.#punchTimer !== undefined) {
      this.#options.platform.clearTimer(this.#punchTimer);
    }
    this.#punchTimer = this.#later(delayMs, () => {
      this.#punchTimer = undefined;
      this.#punch();
    });
  }

  readonly #upgrade = (): void => {
    this.#upgradeTimer = this.#later(upgradeIntervalMs, this.#upgrade);
    this.#punch();
  };

  /** Whether there is a direct path that needs no better one. */
  #isGood(): boolean {
    return [...this.#connections.values()].some(
      (connection) => connection.bestDirectRttMs() <= goodEnoughRttMs,
    );
  }

  /** Looks for a direct path again and again, for a while: where the peer was before, and where it says that it is. */
  #recover(): void {
    for (const timer of this.#recovery) {
      this.#options.platform.clearTimer(timer);
    }
    this.#recovery = recoveryDelaysMs.map((delayMs) =>
      this.#later(delayMs, () => {
        const lost = [...this.#connections.values()].filter(({ isAlone }) => isAlone);
        for (const connection of lost) {
          for (const address of this.#known.values()) {
            this.#openBackup(connection, address);
          }
        }
        if (lost.length > 0) {
          this.#lastPunch = undefined;
          this.#punch();
        }
      }),
    );
  }

  readonly #watch = (): void => {
    this.#watchTimer = undefined;
    const now = this.#now();
    let isIdle = true;
    for (const connection of this.#connections.values()) {
      for (const path of connection.watch(now)) {
        this.#leaveAlone(path);
        this.#options.report({ type: "stalled", remote: path.remote });
        if (connection.isAlone) {
          this.#recover();
        }
      }
      isIdle &&= connection.isIdle(now);
    }
    this.#select();
    if (!isIdle) {
      this.touched();
    }
  };

  #now(): number {
    return this.#options.platform.now();
  }

  #later(delayMs: number, callback: () => void): Timer {
    return this.#options.platform.setTimer(delayMs, callback);
  }
}

function isWithin(some: ReadonlySet<string>, all: ReadonlySet<string>): boolean {
  for (const entry of some) {
    if (!all.has(entry)) {
      return false;
    }
  }
  return true;
}
