import { type Deferred, deferred } from "../../base/deferred.ts";
import type { Platform } from "../../base/platform.ts";
import type { EndpointId } from "../../identity/endpoint-id.ts";
import type { MessageChannel, MessageChannelHandler } from "../message-channel.ts";
import type { DatagramsFrame } from "../relay-frame.ts";
import { encodeHandshakeFrame } from "../relay-handshake.ts";
import { forwardFrame } from "./forward-frame.ts";
import type { AuthorizeRelayClient } from "./relay-access.ts";
import { RelayClientLink } from "./relay-client-link.ts";
import { type RelayLimits, relayLimits } from "./relay-limits.ts";
import { RelayMetrics } from "./relay-metrics.ts";
import { RelayRegistry } from "./relay-registry.ts";
import { type RelayArrival, ServedConnection } from "./served-connection.ts";

/** For how long clients are told to try when the relay restarts. */
const defaultTryForMs = 30_000;

export interface RelayCoreOptions {
  readonly platform: Platform;
  /** Who may come in. Default: everybody. */
  readonly authorize?: AuthorizeRelayClient | undefined;
  readonly limits?: Partial<RelayLimits> | undefined;
}

export interface CloseRelayOptions {
  /** Tells clients to come back so much later, in milliseconds. Default: tells them nothing. */
  readonly restartInMs?: number | undefined;
  /** And for how long to try then. Default 30,000. */
  readonly tryForMs?: number | undefined;
}

/**
 * A relay without its sockets: `accept` every WebSocket, and it hands datagrams from one to the other. It sees ids and
 * ciphertext. Runs on any {@link MessageChannel}, so that a test can host one on a simulated network.
 */
export class RelayCore {
  readonly metrics: RelayMetrics = new RelayMetrics();
  readonly #options: RelayCoreOptions;
  readonly #limits: RelayLimits;
  readonly #registry: RelayRegistry;
  readonly #total = { queuedBytes: 0 };
  readonly #connections = new Set<ServedConnection>();
  #closed: Deferred<void> | undefined;

  /** Throws RangeError for a limit that is none. */
  constructor(options: RelayCoreOptions) {
    this.#options = options;
    this.#limits = relayLimits(options.limits);
    this.#registry = new RelayRegistry(this.metrics, this.#limits.maxConnectionsPerId);
  }

  /** Ids that are connected. */
  get clients(): number {
    return this.#registry.size;
  }

  /** Connections, those in the handshake too. */
  get connections(): number {
    return this.#connections.size;
  }

  /** How many there may be. */
  get maxConnections(): number {
    return this.#limits.maxConnections;
  }

  /** How many one host may have: for who accepts TCP connections. */
  get maxConnectionsPerHost(): number {
    return this.#limits.maxConnectionsPerHost;
  }

  /** Bytes that wait for clients. */
  get queuedBytes(): number {
    return this.#total.queuedBytes;
  }

  /** Whether another connection would be taken. */
  get hasRoom(): boolean {
    return this.#closed === undefined && this.#connections.size < this.#limits.maxConnections;
  }

  /** Takes a WebSocket over that was just accepted. Its events go to what is returned. Look at `hasRoom` first. */
  accept(channel: MessageChannel, arrival: RelayArrival): MessageChannelHandler {
    const { authorize, platform } = this.#options;
    const connection = new ServedConnection({
      channel,
      arrival,
      platform,
      authorize,
      handshakeTimeoutMs: this.#limits.handshakeTimeoutMs,
      admit: (id) => this.#admit(id, channel, arrival),
      ended: (ended, link) => this.#handleEnded(ended, link),
    });
    this.#connections.add(connection);
    return connection;
  }

  /** Ends the connections of an id. False: there are none. */
  disconnect(id: EndpointId): boolean {
    const links = this.#registry.linksOf(id);
    for (const link of links) {
      this.#registry.remove(link);
      link.close();
    }
    return links.length > 0;
  }

  /** Lets nobody in any more and ends all connections. Resolves when they are gone. Idempotent. */
  async close(options: CloseRelayOptions = {}): Promise<void> {
    if (this.#closed === undefined) {
      this.#closed = deferred();
      const { restartInMs, tryForMs = defaultTryForMs } = options;
      for (const connection of this.#connections) {
        connection.close(
          restartInMs === undefined ? undefined : { reconnectInMs: restartInMs, tryForMs },
        );
      }
      this.#checkClosed();
    }
    await this.#closed.promise;
  }

  #admit(id: EndpointId, channel: MessageChannel, { version }: RelayArrival): RelayClientLink {
    const { metrics } = this;
    const { platform } = this.#options;
    metrics.accepts += 1;
    metrics.countKey(id.toString(), platform.unixMs());
    channel.send(encodeHandshakeFrame({ type: "confirmed" }));
    const link = new RelayClientLink({
      id,
      version,
      channel,
      platform,
      limits: this.#limits,
      metrics,
      total: this.#total,
      forward: (from, message, frame) => this.#forward(from, message, frame),
    });
    const superfluous = this.#registry.add(link);
    if (superfluous !== undefined) {
      this.#registry.remove(superfluous);
      superfluous.close();
    }
    return link;
  }

  #forward(from: RelayClientLink, message: Uint8Array, frame: DatagramsFrame): void {
    const to = this.#registry.receiver(frame.peer);
    const { length } = frame.contents;
    if (to?.sendDatagrams(forwardFrame(message, frame, from.idBytes), length) === true) {
      this.#registry.noteSent(from, to);
    } else {
      this.metrics.framesDropped += 1;
    }
  }

  #handleEnded(connection: ServedConnection, link: RelayClientLink | undefined): void {
    this.#connections.delete(connection);
    if (link === undefined) {
      this.metrics.handshakesFailed += 1;
    } else {
      this.metrics.disconnects += 1;
      this.#registry.remove(link);
    }
    this.#checkClosed();
  }

  #checkClosed(): void {
    if (this.#connections.size === 0) {
      this.#closed?.resolve();
    }
  }
}
