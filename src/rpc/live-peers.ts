import { EndpointId } from "../identity/endpoint-id.ts";
import type { Peer } from "./caller.ts";
import type { HttpSession, LiveSession } from "./session.ts";

/**
 * The peers that a router can call without dialing: those that have dialed it and serve (`serve` of
 * `createQuicTransport`), and those that it serves on connections of its own endpoint. One that is going away is not
 * among them any more.
 */
export interface LivePeers extends Iterable<Peer> {
  readonly size: number;
  /** The peer on its latest connection; undefined when it is not connected, or does not serve. */
  get(id: EndpointId | string): Peer | undefined;
  /** Calls `listener` when a peer can be called that could not before. Returns the function that ends that. */
  onOpened(listener: (peer: Peer) => void): () => void;
  /** Calls `listener` when the last connection on which a peer could be called is gone, or takes no new calls. */
  onClosed(listener: (peer: Peer) => void): () => void;
}

/** A peer on one connection. */
export interface LivePeer extends Peer {
  readonly session: LiveSession;
}

/** Keeps {@link LivePeers}, and tells those who wait for a peer. */
export class PeerRegistry implements LivePeers {
  /** By id, the latest last. Only such as take requests, or did when we last heard of them. */
  readonly #peers = new Map<string, readonly LivePeer[]>();
  readonly #watchers = new Map<string, Set<() => void>>();
  readonly #opened = new Set<(peer: Peer) => void>();
  readonly #closed = new Set<(peer: Peer) => void>();
  readonly #report: (error: unknown) => void;

  /** @param report gets what a listener throws */
  constructor(report: (error: unknown) => void) {
    this.#report = report;
  }

  get size(): number {
    return this.#peers.size;
  }

  *[Symbol.iterator](): Iterator<Peer> {
    for (const connections of [...this.#peers.values()]) {
      const latest = connections.at(-1);
      if (latest !== undefined) {
        yield latest;
      }
    }
  }

  get(id: EndpointId | string): Peer | undefined {
    const key = (typeof id === "string" ? EndpointId.parse(id) : id).toString();
    return this.#peers.get(key)?.at(-1);
  }

  onOpened(listener: (peer: Peer) => void): () => void {
    return listen(this.#opened, listener);
  }

  onClosed(listener: (peer: Peer) => void): () => void {
    return listen(this.#closed, listener);
  }

  /** The session for a request to the peer. */
  sessionOf(id: EndpointId): LiveSession | undefined {
    return this.#peers.get(id.toString())?.findLast(({ session }) => takesRequests(session))
      ?.session;
  }

  /** The peer on the connection of a session. */
  peerOn(id: EndpointId, session: HttpSession): LivePeer | undefined {
    return this.#peers.get(id.toString())?.find((peer) => peer.session === session);
  }

  /** Calls `listener` whenever something has happened to a connection of the peer. Returns the function that ends that. */
  watch(id: EndpointId, listener: () => void): () => void {
    const key = id.toString();
    const watchers = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, watchers.add(listener));
    return () => {
      if (watchers.delete(listener) && watchers.size === 0) {
        this.#watchers.delete(key);
      }
    };
  }

  /** The connection takes requests, or does not any more, or something else has become known of it. */
  changed(peer: LivePeer): void {
    const key = peer.id.toString();
    const before = this.#peers.get(key) ?? [];
    const others = before.filter((each) => each !== peer);
    const after = takesRequests(peer.session) ? [...others, peer] : others;
    if (after.length === 0) {
      this.#peers.delete(key);
    } else {
      this.#peers.set(key, after);
    }
    for (const watcher of [...(this.#watchers.get(key) ?? [])]) {
      watcher();
    }
    if (before.length === 0 && after.length > 0) {
      this.#tell(this.#opened, peer);
    } else if (before.length > 0 && after.length === 0) {
      this.#tell(this.#closed, peer);
    }
  }

  #tell(listeners: ReadonlySet<(peer: Peer) => void>, peer: Peer): void {
    for (const listener of [...listeners]) {
      try {
        listener(peer);
      } catch (error) {
        this.#report(error);
      }
    }
  }
}

/** Whether a new request may be sent. */
export function takesRequests(session: LiveSession): boolean {
  return session.state === "open" && session.sendsRequests === true;
}

function listen<T>(listeners: Set<T>, listener: T): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
