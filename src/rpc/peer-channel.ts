import type { Connection } from "../endpoint/connection.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { connectionLost } from "../endpoint/endpoint-error.ts";
import { Http3Connection } from "../http3/http3-connection.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import { connectQuicAlpn } from "./alpn.ts";
import { Channel } from "./channel.ts";
import type { HttpSession } from "./session.ts";

/** The channel from an endpoint to a peer, which all its transports to that peer share. */
export class PeerChannel {
  readonly channel: Channel;
  readonly #endpoint: Endpoint;
  readonly #connections = new WeakMap<HttpSession, Connection>();
  #addr: EndpointAddr;
  #keepAlive: "active" | "always" = "active";
  #keepAliveMs = Number.POSITIVE_INFINITY;
  #users = 0;

  private constructor(endpoint: Endpoint, addr: EndpointAddr) {
    this.#endpoint = endpoint;
    this.#addr = addr;
    this.channel = new Channel({
      peer: addr.id.short,
      platform: endpoint.platform,
      dial: async (events, options) => {
        // The calls that wait keep the process alive. A dial goes on when they are given up, and does not.
        const connection = await endpoint.connect(this.#addr, connectQuicAlpn, {
          ...options,
          hold: false,
        });
        const { connection: engineConnection, start } = connection.handOver((grace) =>
          session.shutdown(grace),
        );
        const session = new Http3Connection(engineConnection, {
          role: "client",
          platform: endpoint.platform,
          keepAlive: this.#keepAlive,
          keepAliveMs: this.#keepAliveMs,
          onGoaway: events.goingAway,
          onClosed: (cause) => events.closed(connectionLost(cause, addr.id.short)),
        });
        start();
        this.#connections.set(session, connection);
        return session;
      },
    });
  }

  /** The channel to the peer of `addr`, whose addresses it learns. Give it back with {@link release}. */
  static acquire(endpoint: Endpoint, addr: EndpointAddr): PeerChannel {
    let ofEndpoint = channels.get(endpoint);
    if (ofEndpoint === undefined) {
      ofEndpoint = new Map();
      channels.set(endpoint, ofEndpoint);
    }
    const key = addr.id.toString();
    let shared = ofEndpoint.get(key)?.deref();
    if (shared === undefined) {
      shared = new PeerChannel(endpoint, addr);
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

  /** One user less; the last one closes the connection. */
  async release(options: { readonly timeoutMs: number }): Promise<void> {
    this.#users -= 1;
    if (this.#users === 0) {
      await this.channel.disconnect(options);
    }
  }
}

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
