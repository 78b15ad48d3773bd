import type { Connection } from "../endpoint/connection.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { connectionLost } from "../endpoint/endpoint-error.ts";
import { Http2Client } from "../http2/http2-client.ts";
import { Http3Connection, type Http3ConnectionOptions } from "../http3/http3-connection.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import { connectQuicAlpn } from "./alpn.ts";
import { Channel } from "./channel.ts";
import type { PeerServer } from "./peer-server.ts";
import type { HttpSession } from "./session.ts";

/** The channel from an endpoint to a peer, which all its transports share that offer the same protocols. */
export class PeerChannel {
  readonly channel: Channel;
  readonly #endpoint: Endpoint;
  readonly #connections = new WeakMap<HttpSession, Connection>();
  #addr: EndpointAddr;
  #keepAlive: "active" | "always" = "active";
  #keepAliveMs = Number.POSITIVE_INFINITY;
  #usesEarlyData = false;
  #users = 0;
  /** Who answers the peer on connections to come, the last one first; one for each transport that wants it. */
  #servers: readonly PeerServer[] = [];
  /** Users that want a connection without calls, too. */
  #staying = 0;

  private constructor(endpoint: Endpoint, addr: EndpointAddr, alpns: readonly string[]) {
    this.#endpoint = endpoint;
    this.#addr = addr;
    this.channel = new Channel({
      peer: addr.id.short,
      platform: endpoint.platform,
      dial: async (events, options) => {
        const open = (connection: Connection): HttpSession => {
          const session = this.#openOrClose(connection, {
            keepAlive: this.#keepAlive,
            keepAliveMs: this.#keepAliveMs,
            onGoaway: events.goingAway,
            onClosed: (cause) => events.closed(connectionLost(cause, addr.id.short)),
          });
          this.#connections.set(session, connection);
          return session;
        };
        let early: { readonly connection: Connection; readonly session: HttpSession } | undefined;
        const beginEarly = (connection: Connection): void => {
          early = { connection, session: open(connection) };
          events.early(early.session);
        };
        // A peer that is called back must not be so before the handshake is done.
        const isEarly = this.#usesEarlyData && this.#server === undefined;
        // The calls that wait keep the process alive. A dial goes on when they are given up, and does not.
        const connection = await endpoint.connect(this.#addr, alpns, {
          ...options,
          hold: false,
          ...(isEarly ? { early: beginEarly } : {}),
        });
        return early?.connection === connection ? early.session : open(connection);
      },
    });
  }

  /**
   * The channel to the peer of `addr`, whose addresses it learns. It offers `alpns`, most wanted first: all but
   * connectQuicAlpn mean HTTP/2. Give it back with {@link release}.
   */
  static acquire(
    endpoint: Endpoint,
    addr: EndpointAddr,
    alpns: readonly string[] = [connectQuicAlpn],
  ): PeerChannel {
    let ofEndpoint = channels.get(endpoint);
    if (ofEndpoint === undefined) {
      ofEndpoint = new Map();
      channels.set(endpoint, ofEndpoint);
    }
    const key = [addr.id.toString(), ...alpns].join(" ");
    let shared = ofEndpoint.get(key)?.deref();
    if (shared === undefined) {
      shared = new PeerChannel(endpoint, addr, alpns);
      const reference = new WeakRef(shared);
      ofEndpoint.set(key, reference);
      forgotten.register(shared, { ofEndpoint, key, reference });
    } else {
      shared.#learn(addr);
    }
    shared.#users += 1;
    return shared;
  }

  #learn(addr: EndpointAddr): void {
    if (addr !== this.#addr && !addr.isEmpty) {
      const all = this.#addr.withAddrs(addr.addrs);
      this.#addr = all.addrs.length <= maxAddrs ? all : addr;
    }
  }

  get endpoint(): Endpoint {
    return this.#endpoint;
  }

  /** The endpoint's connection below a session of the channel. */
  connectionOf(session: HttpSession): Connection | undefined {
    return this.#connections.get(session);
  }

  /** Connections to come begin with early data, where they can. */
  useEarlyData(): void {
    this.#usesEarlyData = true;
  }

  /** What a transport wants of connections to come; of several wishes the liveliest counts. */
  keepAlive(wish: {
    readonly keepAlive: "active" | "always";
    readonly keepAliveIntervalMs: number;
  }): void {
    if (wish.keepAlive === "always") {
      this.#keepAlive = "always";
    }
    this.#keepAliveMs = Math.min(this.#keepAliveMs, wish.keepAliveIntervalMs);
  }

  /**
   * Has `server` answer the peer, on a new connection if need be, until it shuts down or the returned function is called.
   * Calls that run stay where they are.
   */
  serve(server: PeerServer): () => void {
    const change = (next: readonly PeerServer[]): void => {
      const before = this.#server;
      this.#servers = next;
      if (this.#server !== before) {
        this.channel.renew();
      }
    };
    const stop = (): void => {
      stopListening();
      const at = this.#servers.indexOf(server);
      if (at >= 0) {
        change(this.#servers.toSpliced(at, 1));
      }
    };
    const stopListening = server.onShutdown(stop);
    change([...this.#servers, server]);
    return stop;
  }

  /**
   * Connects now, and again whenever the connection is lost, until `server`, if any, shuts down, or the returned function
   * is called.
   */
  stay(dialTimeoutMs: number, server: PeerServer | undefined): () => void {
    let stays = true;
    const leave = (): void => {
      if (stays) {
        stays = false;
        stopListening?.();
        this.#staying -= 1;
        if (this.#staying === 0) {
          this.channel.letGo();
        }
      }
    };
    const stopListening = server?.onShutdown(leave);
    this.#staying += 1;
    this.channel.keepOpen(dialTimeoutMs);
    return leave;
  }

  /** One user less; the last one closes the connection. */
  async release(options: { readonly timeoutMs: number }): Promise<void> {
    this.#users -= 1;
    if (this.#users === 0) {
      await this.channel.disconnect(options);
    }
  }

  /** What goes on after the last user has left, may do so for no longer than this from now on. */
  async hurry(options: { readonly timeoutMs: number }): Promise<void> {
    if (this.#users === 0) {
      await this.channel.disconnect(options);
    }
  }

  get #server(): PeerServer | undefined {
    return this.#servers.at(-1);
  }

  #openOrClose(connection: Connection, options: Opening): HttpSession {
    try {
      return this.#open(connection, options);
    } catch (error) {
      // The peer allows no streams.
      void connection.close({ timeoutMs: 0 });
      throw error;
    }
  }

  #open(connection: Connection, options: Opening): HttpSession {
    const overHttp3 = connection.alpn === connectQuicAlpn;
    if (overHttp3 && this.#server !== undefined) {
      return this.#server.serve(connection, { ...options, role: "client" });
    }
    const { connection: engineConnection, start } = connection.handOver((grace) =>
      session.shutdown(grace),
    );
    const endpoint = this.#endpoint;
    const { platform } = endpoint;
    const session = overHttp3
      ? new Http3Connection(engineConnection, { ...options, role: "client", platform })
      : new Http2Client(engineConnection, {
          ...options,
          platform,
          authority: tonicIrohAuthority,
          report: (error) => endpoint.report(error),
        });
    start();
    return session;
  }
}

interface Opening {
  readonly keepAlive: "active" | "always";
  readonly keepAliveMs: number;
  readonly onClosed: NonNullable<Http3ConnectionOptions["onClosed"]>;
  readonly onGoaway: () => void;
}

/** The name by which tonic-iroh-transport calls every server. */
const tonicIrohAuthority = "iroh.local";

/** Addresses of a peer that are remembered, iroh's limit too. Above it the latest target's alone count. */
const maxAddrs = 30;

interface Forgotten {
  readonly ofEndpoint: Map<string, WeakRef<PeerChannel>>;
  readonly key: string;
  readonly reference: WeakRef<PeerChannel>;
}

/** Held weakly: transports and open connections keep a channel, and a program may meet very many peers. */
const channels = new WeakMap<Endpoint, Map<string, WeakRef<PeerChannel>>>();
const forgotten = new FinalizationRegistry<Forgotten>(({ ofEndpoint, key, reference }) => {
  if (ofEndpoint.get(key) === reference) {
    ofEndpoint.delete(key);
  }
});
