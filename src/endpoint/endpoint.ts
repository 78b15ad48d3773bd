import { AsyncQueue } from "../base/async-queue.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { nodePlatform } from "../base/node-platform.ts";
import type { Platform } from "../base/platform.ts";
import { parseSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import type { DiscoverySource } from "../discovery/discovery.ts";
import {
  type CloseCause,
  type ConnectedInfo,
  defaultTransportOptions,
  type EndpointStats,
  type Engine,
  type EngineConnection,
  type IncomingLimits,
  type ProvenIdentity,
  type TransportOptions,
} from "../engine/engine.ts";
import { systemAuthorities } from "../identity/certificates.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { EndpointTicket } from "../identity/endpoint-ticket.ts";
import { parseRelayUrl, type RelayUrl } from "../identity/relay-url.ts";
import { SecretKey } from "../identity/secret-key.ts";
import { parseTarget, type Target } from "../identity/target.ts";
import type { TransportAddr } from "../identity/transport-addr.ts";
import type { NetReport } from "../net/net-report.ts";
import type { Network } from "../net/network.ts";
import { nodeNetwork } from "../net/node-network.ts";
import type { RelayAccess } from "../net/relay-connections.ts";
import { BoundEngine } from "./bound-engine.ts";
import { callEngine, endpointErrorOf } from "./call-engine.ts";
import { Connection, type HandshakeObserver } from "./connection.ts";
import { Dial } from "./dial.ts";
import { closeCode, dialFailed, EndpointError } from "./endpoint-error.ts";
import { LatePaths } from "./late-paths.ts";
import { type AttachedPaths, type PeerDial, PeerNetwork } from "./peer-network.ts";
import type { ProtocolHandler } from "./protocol-handler.ts";
import type { RemoteInfo } from "./remote-info.ts";
import type { ShardHub } from "./shard-hub.ts";
import type { ShardNetwork } from "./shard-network.ts";
import { untilConnected } from "./until-connected.ts";

/** Who wants to connect. */
export interface IncomingPeer {
  /** Proven by the handshake, or with early data by that of the session which the peer resumes. */
  readonly id: EndpointId;
  readonly alpn: string;
  /** Where it comes from: an IP address, or a relay. With early data nobody has shown yet to be there. */
  readonly remoteAddress: TransportAddr;
}

/** A relay server, and what it takes to use it. */
export interface RelayOptions extends RelayAccess {
  /** `https://relay.example./`. */
  readonly url: string;
}

/**
 * Decides whether a peer may connect, before anything it sent is read. A throw or rejection counts as no, and so does no
 * decision within 10 seconds.
 */
export type Authorize = (peer: IncomingPeer) => boolean | Promise<boolean>;

export interface EndpointOptions {
  /**
   * Who this endpoint is. To others, two endpoints with one key are one peer: they serve both as callers, and call
   * whichever of the two answers first. Default: a fresh identity.
   */
  readonly secretKey?: SecretKey;
  /**
   * Addresses to bind, `ip:port` or `[ip6]:port`, at most one a family; port 0 takes any free one.
   * Default `["0.0.0.0:0", "[::]:0"]`; a machine without IPv6 binds the first alone.
   */
  readonly bind?: string | readonly string[];
  /**
   * Relay servers, with which peers reach this endpoint wherever it is: the nearest becomes its home relay, part of its
   * address. Connections begin there and move to a direct path when there is one. Default none: then nothing but direct
   * addresses is used.
   */
  readonly relays?: readonly (string | RelayOptions)[];
  /**
   * STUN servers (RFC 8489) that are asked where they see this endpoint, `host:port`. Relays do the same where they offer
   * QUIC address discovery. Default none.
   */
  readonly stunServers?: readonly string[];
  /** Addresses at which this endpoint can be reached though nothing here shows it, as with a forwarded port; port 0 stands
   * for the one that is bound. Default none. */
  readonly externalAddresses?: readonly string[];
  /**
   * Has the gateway forward the bound IPv4 port to here (PCP, NAT-PMP, UPnP), as long as the endpoint is open. That opens it to
   * the world, which the gateway's owner may not want: default false.
   */
  readonly portMapping?: boolean;
  /** Where to look for addresses of peers that are dialed by id alone, and where to publish the own. Default none. */
  readonly discovery?: readonly DiscoverySource[];
  /** Text of up to 245 bytes that is published with the own address. Default none. */
  readonly userData?: string;
  /** Protocols that {@link Endpoint.accept} takes. Those of routers come by themselves. Default none. */
  readonly alpns?: readonly string[];
  /**
   * Takes early data (0-RTT) of peers that come back: routers of calls run methods without side effects before the
   * handshake is done, other handlers of protocols get such connections if they say so ({@link ProtocolHandler.earlyData}).
   * See docs/early-data.md. Default false: whatever comes waits for the end of the handshake.
   */
  readonly acceptEarlyData?: boolean;
  /** Asked for each incoming connection. Default: everybody may connect. */
  readonly authorize?: Authorize;
  /** Changes to `defaultTransportOptions`, which stand where nothing is said. */
  readonly transport?: Partial<TransportOptions>;
  /** Changes to `defaultIncomingLimits`, which stand where nothing is said. */
  readonly incoming?: Partial<IncomingLimits>;
  /**
   * Gets errors that no caller can be told of: a protocol handler that failed, an engine that broke. What it throws
   * itself becomes a process warning. Default: a process warning.
   */
  readonly onError?: (error: unknown) => void;
  /** Gets NSS key log lines, for reading captures. Whoever has them can read all traffic. */
  readonly keyLog?: (line: string) => void;
  /** Default: noq, iroh's QUIC. */
  readonly engine?: Engine;
  /** Clock, timers and randomness. Default: Node's. */
  readonly platform?: Platform;
  /** Sockets and the like; what is left out is Node's. */
  readonly network?: Partial<Network>;
}

export interface ConnectOptions {
  readonly signal?: AbortSignal;
  /** How long the handshake may take. Milliseconds above 0, default 10000. */
  readonly timeoutMs?: number;
  /** Changes to the endpoint's options, for this connection. */
  readonly transport?: Partial<TransportOptions>;
  /**
   * For early data (0-RTT). Where a session with the peer and the same protocol is remembered, this is called at once, with
   * a connection on which whatever is sent leaves with the first packet. Others can record it and send it again: only what
   * does no harm when it arrives twice. The dial resolves with that connection when the peer has taken it; where it has
   * not, with another one, and the early one ends with the cause "early-data-rejected": nothing of it has reached the
   * peer's program. Not called with several protocols. Default none.
   */
  readonly early?: (connection: Connection) => void;
  /** False: the attempt alone does not keep the process alive. Default true. @internal */
  readonly hold?: boolean;
}

/** Options of an endpoint that shares the sockets of another one; what is not here is up to that one. */
export type ShardEndpointOptions = Pick<
  EndpointOptions,
  "alpns" | "authorize" | "incoming" | "keyLog" | "onError" | "platform" | "transport"
>;

/** Ends what is under way within that time, and takes nothing more. */
type Shutdown = (graceMs: number) => Promise<void>;

/** What is known of the other side of a connection. */
interface Known {
  readonly remoteId: EndpointId;
  readonly alpn: string;
}

/** Incoming connections that wait for {@link Endpoint.accept}; above it they are refused. */
const maxPendingConnections = 256;
/** How long an authorize hook may take. */
const authorizeTimeoutMs = 10_000;
const secretKeyLength = 32;
const shardSecretLength = 32;

/**
 * A peer of the network: an Ed25519 identity bound to UDP ports, which dials others by their key and is dialed by
 * theirs. Every connection is encrypted and both its ends are proven (TLS 1.3 with raw public keys, as iroh does).
 *
 * An endpoint does not keep the process alive; what is awaited on it, and a serving router, do.
 */
export class Endpoint implements AsyncDisposable {
  readonly #secretKey: SecretKey;
  readonly #platform: Platform;
  readonly #authorize: Authorize;
  readonly #onError: (error: unknown) => void;
  readonly #bound: BoundEngine;
  readonly #network: PeerNetwork;
  readonly #acceptAlpns: readonly string[];
  readonly #transport: TransportOptions;
  readonly #handlers = new Map<string, ProtocolHandler>();
  /** What is to be shut down first, the latest in front. */
  readonly #servers = new Set<Shutdown>();
  /** Where the sockets are on another thread. */
  #shard: ShardNetwork | undefined;
  #shardSecret: Uint8Array = new Uint8Array();
  #hub: ShardHub | undefined;
  readonly #pending = new AsyncQueue<Connection>();
  readonly #connections = new Set<Connection>();
  readonly #dials = new Set<Dial<Connection>>();
  readonly #closed: Deferred<void> = deferred();
  #state: "open" | "closing" | "closed" = "open";
  /** Why it closed by itself; an {@link EndpointError}, unless an engine throws something of its own. */
  #failure: unknown;

  /** Resolves when the endpoint is closed. */
  readonly closed: Promise<void> = this.#closed.promise;

  /**
   * Opens sockets and makes an endpoint on them. Rejects with {@link EndpointError} "bind-failed" when an address cannot
   * be had, and with TypeError or RangeError for an address, a protocol or a limit that cannot be.
   */
  static bind(options: EndpointOptions = {}): Promise<Endpoint> {
    return Endpoint.#open(options, undefined);
  }

  /** An endpoint with the sockets and the identity of another one, on another thread. @internal */
  static bindShard(network: ShardNetwork, options: ShardEndpointOptions = {}): Promise<Endpoint> {
    const { secretKey, bindSocket } = network;
    return Endpoint.#open(
      { ...options, secretKey: SecretKey.fromBytes(secretKey), bind: [], network: { bindSocket } },
      network,
    );
  }

  static async #open(
    options: EndpointOptions,
    shardNetwork: ShardNetwork | undefined,
  ): Promise<Endpoint> {
    const platform = options.platform ?? nodePlatform;
    const secretKey = options.secretKey ?? freshKey(platform);
    const relays = relaysOf(options.relays ?? []);
    const network = new PeerNetwork({
      secretKey,
      platform,
      network: { ...nodeNetwork, ...options.network },
      relays,
      stunServers: options.stunServers ?? [],
      configured: (options.externalAddresses ?? []).map(parseSocketAddress),
      portMapping: options.portMapping ?? false,
      discovery: options.discovery ?? [],
      userData: options.userData,
      report: (error) => endpoint.report(error),
      shard: shardNetwork,
    });
    const shard = shardNetwork?.shard ?? { number: 0, secret: random(platform, shardSecretLength) };
    const bound = await BoundEngine.bind(
      {
        credentials: {
          type: "raw-key",
          publicKey: secretKey.publicKey.bytes,
          sign: (message) => secretKey.sign(message),
          serverAuthorities: authoritiesOf(relays),
        },
        alpns: options.alpns ?? [],
        transport: { ...defaultTransportOptions, ...options.transport },
        platform,
        bind: options.bind ?? ["0.0.0.0:0", "[::]:0"],
        bindSocket: network.bindSocket,
        shard,
        engine: options.engine,
        acceptEarlyData: options.acceptEarlyData ?? false,
        ...(options.incoming === undefined ? {} : { incoming: options.incoming }),
        ...(options.keyLog === undefined ? {} : { keyLog: options.keyLog }),
      },
      // Nothing happens to the engine before the endpoint is made.
      {
        incoming: (connection) => endpoint.#handshakes(connection),
        failed: (error) => endpoint.#fail(error),
        handlerError: (error) => endpoint.report(error),
      },
    );
    const endpoint = new Endpoint({ ...options, platform, secretKey }, bound, network);
    endpoint.#shardSecret = shard.secret;
    endpoint.#shard = shardNetwork;
    if (shardNetwork !== undefined) {
      shardNetwork.handler = {
        placeChanged: () => network.placeChanged(),
        networkChanged: (change) => network.networkChanged(change),
        close: (graceMs) => void endpoint.shutdown({ graceMs }),
      };
    }
    endpoint.#tellServing();
    network.start((dial) => callEngine(() => bound.engine.connect(dial)));
    return endpoint;
  }

  private constructor(
    options: EndpointOptions & { readonly platform: Platform; readonly secretKey: SecretKey },
    bound: BoundEngine,
    network: PeerNetwork,
  ) {
    this.#platform = options.platform;
    this.#secretKey = options.secretKey;
    this.#authorize = options.authorize ?? (() => true);
    this.#onError = options.onError ?? warn;
    this.#acceptAlpns = options.alpns ?? [];
    this.#transport = { ...defaultTransportOptions, ...options.transport };
    this.#bound = bound;
    this.#network = network;
  }

  /** The public key that others dial. */
  get id(): EndpointId {
    return this.#secretKey.publicKey;
  }

  get secretKey(): SecretKey {
    return this.#secretKey;
  }

  /** The addresses that the sockets are bound to. */
  get boundAddresses(): readonly SocketAddress[] {
    return this.#bound.localAddresses;
  }

  /** Who and where this endpoint is: its id, its home relay, and the direct addresses that it knows of itself. */
  addr(): EndpointAddr {
    return this.#network.addr();
  }

  /** {@link addr} now, and again whenever it has changed. Ends with the endpoint. */
  watchAddr(options?: { readonly signal?: AbortSignal }): AsyncIterable<EndpointAddr> {
    return this.#network.watchAddr(options?.signal);
  }

  /**
   * Resolves when peers can find this endpoint: its home relay is connected to, or there are no relays. Rejects with
   * {@link EndpointError} "endpoint-closed".
   */
  online(options?: { readonly signal?: AbortSignal }): Promise<void> {
    return this.#bound.hold.during(this.#network.online(options?.signal));
  }

  /**
   * Looks at the network from here: public addresses, kind of NAT, whether UDP gets through, latencies of relays. Takes up
   * to 3 seconds. Rejects with the signal's reason alone.
   */
  netcheck(options?: { readonly signal?: AbortSignal }): Promise<NetReport> {
    return this.#bound.hold.during(this.#network.netcheck(options?.signal));
  }

  /** What is known of a peer: its addresses, and the paths to it with their latency; undefined for a stranger. */
  remoteInfo(id: EndpointId | string): RemoteInfo | undefined {
    const peer = typeof id === "string" ? EndpointId.parse(id) : id;
    const connections = [...this.#connections].filter(({ remoteId }) => remoteId.equals(peer));
    return this.#network.remoteInfo(
      peer,
      connections.flatMap((connection) => connection.paths()),
    );
  }

  /** {@link addr} as a string to hand to others, `endpoint…`; the same as iroh's tickets. */
  ticket(): string {
    return new EndpointTicket(this.addr()).toString();
  }

  /** Connections that are open, whoever dialed. */
  get connections(): ReadonlySet<Connection> {
    return this.#connections;
  }

  /** Counters of the engine. */
  stats(): EndpointStats {
    this.#throwUnlessOpen();
    return callEngine(() => this.#bound.engine.stats());
  }

  /**
   * Dials a peer: a ticket, an {@link EndpointAddr}, or an id where discovery can tell the rest. All addresses and relays
   * are tried at once, those that are found meanwhile as well, and the first that answers is used. `alpn` is the protocol to speak, or several, the most wanted first.
   *
   * Rejects with `IdentityError` for a malformed target before anything is sent, with RangeError for options that cannot
   * be, and with {@link EndpointError}: "no-address", "dial-timeout", "wrong-key", "refused", "alpn-mismatch",
   * "endpoint-closed", "engine-failed".
   */
  async connect(
    target: Target,
    alpn: string | readonly string[],
    options: ConnectOptions = {},
  ): Promise<Connection> {
    const { signal, timeoutMs = 10_000 } = options;
    if (!(timeoutMs > 0)) {
      throw new RangeError(`invalid timeoutMs: ${timeoutMs} is not above 0`);
    }
    const addr = parseTarget(target);
    signal?.throwIfAborted();
    this.#throwUnlessOpen();
    const alpns = typeof alpn === "string" ? [alpn] : alpn;
    const transport = { ...this.#transport, ...options.transport };
    let place: PeerDial | undefined;
    let elsewhere: CloseCause | undefined;
    const dial = new Dial<Connection>(this.#platform, (cause) =>
      // That nobody answered says less than who did.
      dialFailed(cause.type === "timeout" ? (elsewhere ?? cause) : cause, {
        peer: addr.id.short,
        addresses: place?.tried() ?? "any address",
        alpns,
        credentials: "raw-key",
      }),
    );
    const attempt = (remote: SocketAddress, early?: ConnectOptions["early"]): EngineConnection => {
      const connected = ({ identity, alpn }: ConnectedInfo): void => {
        const known = { remoteId: endpointIdOf(identity), alpn };
        dial.connected(this.#adopt(connection, known, transport));
      };
      const closed = (cause: CloseCause): void => void ended(cause, connection.remoteAddress);
      const { connection } = this.#bound.dial([remote], {
        expected: { type: "raw-key", publicKey: addr.id.bytes },
        alpns,
        transport,
        earlyData: early !== undefined,
        handler: untilConnected(connected, closed),
      });
      if (early !== undefined && connection.early) {
        const known = { remoteId: addr.id, alpn: alpns[0] ?? "" };
        const first = this.#adoptEarly(connection, known, transport, {
          connected: (info) => {
            if (info.earlyData === "accepted") {
              first.confirm();
              dial.connected(first);
            } else {
              first.abandon();
              connected(info);
            }
          },
          done: () => {},
          closed,
        });
        early(first);
      }
      return connection;
    };
    // Nobody has proven to be the peer: who else is at one of its addresses cannot end the dial at the others.
    const ended = async (cause: CloseCause, answered: SocketAddress): Promise<void> => {
      if (cause.type === "transport" && place !== undefined && (await place.leaveOut(answered))) {
        const { remote } = place;
        elsewhere = cause;
        dial.retry(() => attempt(remote));
      } else {
        dial.end(cause);
      }
    };
    const begin = async (signal: AbortSignal): Promise<EngineConnection> => {
      place = this.#network.dial(addr, signal);
      if (place.finding !== undefined) {
        await place.finding;
      }
      return attempt(place.remote, alpns.length === 1 ? options.early : undefined);
    };
    this.#dials.add(dial);
    try {
      const connected = dial.run(begin, { signal, timeoutMs });
      return await (options.hold === false ? connected : this.#bound.hold.during(connected));
    } finally {
      this.#dials.delete(dial);
      place?.over();
    }
  }

  /**
   * The next incoming connection whose protocol no router takes; undefined once the endpoint is closed. Only protocols
   * in {@link EndpointOptions.alpns} come here. At most 256 connections wait; above that they are refused.
   */
  accept(options?: { readonly signal?: AbortSignal }): Promise<Connection | undefined> {
    return this.#bound.hold.during(this.#pending.next(options));
  }

  /**
   * Gives incoming connections of `alpn` to `handler` from now on; the returned function ends that. Routers call this.
   * Throws TypeError when the protocol is taken, RangeError when no ALPN can be like it. @internal
   */
  handle(alpn: string, handler: ProtocolHandler): () => void {
    this.#throwUnlessOpen();
    if (this.#handlers.has(alpn)) {
      throw new TypeError(
        `protocol ${JSON.stringify(alpn)} has a handler already on this endpoint`,
      );
    }
    callEngine(() =>
      this.#bound.engine.setAlpns([...this.#handlers.keys(), alpn, ...this.#acceptAlpns]),
    );
    this.#handlers.set(alpn, handler);
    this.#tellServing();
    return () => {
      if (this.#handlers.get(alpn) === handler) {
        this.#handlers.delete(alpn);
        this.#withdrawAlpn();
      }
    };
  }

  /**
   * Has `shutdown` called before connections are closed by {@link shutdown}; the returned function ends that. @internal
   */
  serves(shutdown: Shutdown): () => void {
    this.#servers.add(shutdown);
    return () => void this.#servers.delete(shutdown);
  }

  /** Lets what serves here end what is under way, and closes. @internal */
  async shutdown({ graceMs }: { readonly graceMs: number }): Promise<void> {
    const until = this.#platform.now() + graceMs;
    // What is built on something else comes after it.
    await Promise.allSettled([...this.#servers].reverse().map((shutdown) => shutdown(graceMs)));
    await this.close({ timeoutMs: Math.max(0, until - this.#platform.now()) });
  }

  /** Lets endpoints on other threads share the sockets. @internal */
  share(): ShardHub {
    this.#throwUnlessOpen();
    if (this.#hub === undefined) {
      const { engine } = this.#bound;
      if (this.#shard !== undefined || engine.ownerOf === undefined) {
        throw new TypeError(
          "cannot share this endpoint: it is a shard itself, or its engine knows none",
        );
      }
      const hub = this.#network.share({ engine, secret: this.#shardSecret });
      this.#bound.divert = (from, bytes) => hub.receive(from, bytes);
      this.#hub = hub;
    }
    return this.#hub;
  }

  /** Keeps the process alive until the returned function is called. @internal */
  hold(): () => void {
    return this.#bound.hold.take();
  }

  /** @internal */
  get platform(): Platform {
    return this.#platform;
  }

  /** Tells the user of an error that belongs to nobody's call. Never throws. @internal */
  report(error: unknown): void {
    try {
      this.#onError(error);
    } catch (thrown) {
      warn(thrown);
    }
  }

  /**
   * Ends dials that are under way with "endpoint-closed", closes all connections, gracefully within `timeoutMs` (default
   * 3000; see {@link Connection.close}), and then the sockets. Incoming connections are refused meanwhile. Nothing of the
   * endpoint keeps the process alive afterwards. Never rejects. Called again, it can make the time shorter.
   */
  close(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    if (this.#state === "open") {
      this.#state = "closing";
      void this.#close(options.timeoutMs ?? 3_000);
    } else if (options.timeoutMs !== undefined) {
      for (const connection of this.#connections) {
        void connection.close(options);
      }
    }
    return this.closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(timeoutMs: number): Promise<void> {
    const release = this.#bound.hold.take();
    try {
      await this.#closeConnections(timeoutMs);
    } catch (error) {
      // The engine is broken, and has not said so yet. Nothing can be sent any more.
      this.#fail(endpointErrorOf(error));
    }
    try {
      this.#state = "closed";
      await this.#network.close();
      await this.#bound.destroy();
    } catch (error) {
      this.report(error);
    } finally {
      release();
      this.#closed.resolve();
    }
  }

  async #closeConnections(timeoutMs: number): Promise<void> {
    for (const dial of this.#dials) {
      this.#failure === undefined ? dial.end(closedHere) : dial.giveUp(this.#failure);
    }
    this.#pending.end();
    for (
      let waiting = this.#pending.take();
      waiting !== undefined;
      waiting = this.#pending.take()
    ) {
      void waiting.close({ timeoutMs: 0 });
    }
    if (this.#failure === undefined) {
      this.#bound.engine.setAlpns([]);
      this.#shard?.serve(false);
    }
    await Promise.allSettled([
      ...[...this.#connections].map((connection) => connection.close({ timeoutMs })),
      this.#hub?.shutdown(timeoutMs),
    ]);
    if (this.#failure === undefined) {
      await this.#bound.drained();
    }
  }

  #handshakes(connection: EngineConnection): void {
    this.#network.dialedBy(connection);
    connection.handler = untilConnected(({ identity, alpn }) =>
      this.#incoming(connection, { remoteId: endpointIdOf(identity), alpn }),
    );
  }

  #adopt(engine: EngineConnection, known: Known, transport: TransportOptions): Connection {
    const connection: Connection = this.#keep(
      engine,
      known,
      transport,
      this.#network.attach(known.remoteId, engine, () => connection.pathSelected()),
    );
    return connection;
  }

  /** Makes a connection whose handshake is not done. */
  #adoptEarly(
    engine: EngineConnection,
    known: Known,
    transport: TransportOptions,
    handshake: HandshakeObserver,
  ): Connection {
    const paths = new LatePaths(this.#network.transportAddrOf);
    const connection = this.#keep(engine, known, transport, paths, handshake);
    void connection.handshakeDone.then((isDone) => {
      if (isDone && connection.closeCause === undefined) {
        const selected = (): void => connection.pathSelected();
        paths.attach(this.#network.attach(known.remoteId, engine, selected));
      }
    });
    return connection;
  }

  #keep(
    engine: EngineConnection,
    known: Known,
    { datagramReceiveBuffer }: TransportOptions,
    paths: AttachedPaths,
    handshake?: HandshakeObserver,
  ): Connection {
    const { hold } = this.#bound;
    const platform = this.#platform;
    const context = { platform, hold, datagramReceiveBuffer, paths, handshake };
    const connection = new Connection(engine, known, context);
    this.#connections.add(connection);
    void connection.closed.then(() => this.#connections.delete(connection));
    return connection;
  }

  #incoming(engine: EngineConnection, known: Known): void {
    if (this.#state !== "open") {
      engine.close(closeCode.none, "closing");
      return;
    }
    if (!engine.early) {
      this.#decide(this.#adopt(engine, known, this.#transport));
      return;
    }
    const connection = this.#adoptEarly(engine, known, this.#transport, {
      connected: () => {},
      done: () => connection.confirm(),
      closed: () => {},
    });
    if (this.#handlers.get(known.alpn)?.earlyData === true) {
      this.#decide(connection);
    } else {
      void connection.handshakeDone.then((isDone) => {
        if (isDone) {
          this.#decide(connection);
        }
      });
    }
  }

  /** Has the peer authorized, and gives the connection to who serves its protocol. */
  #decide(connection: Connection): void {
    const { remoteId: id, alpn } = connection;
    const close = (code: bigint, reason: string): void =>
      void connection.close({ code, reason, timeoutMs: 0 });
    // Before the handshake is done, a peer cannot be told why.
    const refuse = (code: bigint, reason: string): void =>
      connection.early
        ? void connection.handshakeDone.then(() => close(code, reason))
        : close(code, reason);
    const timer = this.#platform.setTimer(authorizeTimeoutMs, () =>
      refuse(closeCode.notAuthorized, "not authorized"),
    );
    void this.#isAuthorized({ id, alpn, remoteAddress: connection.remoteAddress }).then(
      (authorized) => {
        this.#platform.clearTimer(timer);
        if (connection.closeCause !== undefined) {
          return;
        }
        if (!authorized) {
          refuse(closeCode.notAuthorized, "not authorized");
        } else if (this.#state !== "open") {
          refuse(closeCode.none, "closing");
        } else {
          this.#dispatch(connection, refuse);
        }
      },
    );
  }

  async #isAuthorized(peer: IncomingPeer): Promise<boolean> {
    try {
      return await this.#authorize(peer);
    } catch (error) {
      this.report(error);
      return false;
    }
  }

  #dispatch(connection: Connection, refuse: (code: bigint, reason: string) => void): void {
    const handler = this.#handlers.get(connection.alpn);
    if (handler !== undefined) {
      void runHandler(handler, connection).catch((error: unknown) => {
        refuse(closeCode.internalError, "internal error");
        this.report(error);
      });
    } else if (this.#acceptAlpns.includes(connection.alpn) && this.#hasRoomForPending()) {
      this.#pending.push(connection);
    } else {
      refuse(closeCode.busy, "nobody accepts connections of this protocol");
    }
  }

  /** Connections that have ended wait for `accept` like others, for what they brought, but give way to new ones. */
  #hasRoomForPending(): boolean {
    return (
      this.#pending.size < maxPendingConnections ||
      this.#pending.dropUnwanted(({ closeCause }) => closeCause === undefined)
    );
  }

  #withdrawAlpn(): void {
    if (this.#state !== "open" || this.#failure !== undefined) {
      return;
    }
    try {
      this.#bound.engine.setAlpns([...this.#handlers.keys(), ...this.#acceptAlpns]);
      this.#tellServing();
    } catch (error) {
      this.#fail(endpointErrorOf(error));
    }
  }

  /** No connections are to come before there is somebody for them. */
  #tellServing(): void {
    this.#shard?.serve(this.#handlers.size + this.#acceptAlpns.length > 0);
  }

  /** The engine or the socket is gone; the engine has closed its connections already, or will find no network. */
  #fail(error: unknown): void {
    if (this.#state !== "closed" && this.#failure === undefined) {
      this.#failure = error;
      this.report(error);
      void this.close({ timeoutMs: 0 });
    }
  }

  #throwUnlessOpen(): void {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
    if (this.#state !== "open") {
      throw new EndpointError("endpoint-closed", "the endpoint is closed");
    }
  }
}

function endpointIdOf(identity: ProvenIdentity): EndpointId {
  if (identity.type !== "raw-key") {
    throw new TypeError(
      `an engine with a raw key brought a peer with ${identity.type} credentials`,
    );
  }
  return EndpointId.fromBytes(identity.publicKey);
}

function relaysOf(options: readonly (string | RelayOptions)[]): Map<RelayUrl, RelayAccess> {
  return new Map(
    options.map((option) => {
      const { url, ...access } = typeof option === "string" ? { url: option } : option;
      return [parseRelayUrl(url), access];
    }),
  );
}

/** Those who vouch for relays, where there are any with certificates. */
function authoritiesOf(relays: ReadonlyMap<RelayUrl, RelayAccess>): readonly Uint8Array[] {
  const withTls = [...relays].filter(([url]) => url.startsWith("https:") || url.startsWith("wss:"));
  return [...new Set(withTls.flatMap(([, { authorities }]) => authorities ?? systemAuthorities()))];
}

async function runHandler(handler: ProtocolHandler, connection: Connection): Promise<void> {
  await handler.accept(connection);
}

/** From the platform's randomness, so that one seed makes one run of a simulated world. */
function freshKey(platform: Platform): SecretKey {
  return SecretKey.fromBytes(random(platform, secretKeyLength));
}

function random(platform: Platform, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  platform.randomFill(bytes);
  return bytes;
}

const closedHere: CloseCause = {
  type: "application",
  origin: "local",
  code: closeCode.none,
  reason: "",
};

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error), "ConnectQuicWarning");
}
