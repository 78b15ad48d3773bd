import type { Connection } from "../endpoint/connection.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Http3Connection } from "../http3/http3-connection.ts";
import { CallServer, type CallServerOptions, type ServeOptions } from "./call-server.ts";
import type { Peer } from "./caller.ts";
import { ConnectedPeer } from "./connected-peer.ts";
import { PeerRegistry } from "./live-peers.ts";
import type { HttpSession } from "./session.ts";

/** Serves peers on connections that either side has dialed, and knows which of them can be called there. */
export class PeerServer {
  readonly endpoint: Endpoint;
  readonly peers: PeerRegistry;
  readonly #calls: CallServer;
  readonly #peers = new WeakMap<HttpSession, ConnectedPeer>();
  readonly #shutdownListeners = new Set<() => void>();
  #state: "open" | "shut-down" = "open";

  constructor(endpoint: Endpoint, options: CallServerOptions) {
    this.endpoint = endpoint;
    this.peers = new PeerRegistry(options.report);
    this.#calls = new CallServer(options);
  }

  /** False once it is shut down. */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Takes a connection over. */
  serve(connection: Connection, options: Omit<ServeOptions, "requestsBothWays">): Http3Connection {
    const { connection: engineConnection, start } = connection.handOver((grace) =>
      session.shutdown(grace),
    );
    const { endpoint, peers } = this;
    const peer = new ConnectedPeer({ endpoint, connection, peers, session: () => session });
    const changed = (): void => {
      // Whoever has replayed the beginning of a connection is no peer to call.
      if (!connection.early) {
        peers.changed(peer);
      }
    };
    const session = this.#calls.serve(engineConnection, peer, {
      role: options.role,
      keepAlive: options.keepAlive,
      keepAliveMs: options.keepAliveMs,
      handshake: connection,
      requestsBothWays: true,
      onSettings: () => {
        options.onSettings?.();
        changed();
      },
      onGoaway: () => {
        options.onGoaway?.();
        changed();
      },
      onClosed: (cause) => {
        options.onClosed?.(cause);
        changed();
      },
    });
    if (connection.early) {
      void connection.handshakeDone.then(changed);
    }
    this.#peers.set(session, peer);
    start();
    return session;
  }

  /** Who is at the other end of a session. */
  peerOn(session: HttpSession): Peer | undefined {
    return this.#peers.get(session);
  }

  /** Calls `listener` when the server begins to shut down. Returns the function that ends that. */
  onShutdown(listener: () => void): () => void {
    this.#shutdownListeners.add(listener);
    return () => this.#shutdownListeners.delete(listener);
  }

  /** Lets calls that run end, in both directions, and closes all connections; at the latest after `timeoutMs`. */
  async shutdown(options: { readonly timeoutMs: number }): Promise<void> {
    this.#state = "shut-down";
    for (const listener of [...this.#shutdownListeners]) {
      listener();
    }
    await this.#calls.shutdown(options);
  }
}

/** By router, which shows no one but us what it serves peers with. */
const servers = new WeakMap<object, PeerServer>();

/** Remembers the server behind a router. */
export function registerPeerServer(router: object, server: PeerServer): void {
  servers.set(router, server);
}

/** The server behind a router; undefined for what is none. */
export function peerServerOf(router: object): PeerServer | undefined {
  return servers.get(router);
}
