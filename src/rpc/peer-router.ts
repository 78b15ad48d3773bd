import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type {
  ConnectRouter,
  ConnectRouterOptions,
  MethodImpl,
  ServiceImpl,
} from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { deferred } from "../base/deferred.ts";
import type { Connection } from "../endpoint/connection.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { ProtocolHandler } from "../endpoint/protocol-handler.ts";
import { Router } from "../endpoint/router.ts";
import { Http2Server } from "../http2/http2-server.ts";
import type { Target } from "../identity/target.ts";
import { connectQuicAlpn, tonicIrohAlpn } from "./alpn.ts";
import type { CallServerOptions } from "./call-server.ts";
import type { Peer } from "./caller.ts";
import {
  inRange,
  isBoolean,
  isFunction,
  isList,
  largestMessageBytes,
  longestTimerMs,
} from "./check-options.ts";
import { defaultCompressions } from "./compressions.ts";
import { createLiveTransport } from "./connected-peer.ts";
import { Health } from "./gen/grpc/health/v1/health_pb.ts";
import { HealthReport, type RouterHealth } from "./health.ts";
import { limitDuration } from "./limit-duration.ts";
import type { LivePeers } from "./live-peers.ts";
import { defaultReadMaxBytes } from "./message-limits.ts";
import { type BridgeOptions, createNodeBridge, type NodeRequestHandler } from "./node-bridge.ts";
import { PeerServer, registerPeerServer } from "./peer-server.ts";
import { PeerTransport, parsePeerAddr, type QuicTransport } from "./peer-transport.ts";
import { type ListenOptions, listenPublicly, type PublicListener } from "./public-listener.ts";
import { resolveTransportOptions, type TransportToOptions } from "./quic-transport-options.ts";
import { ServedConnection } from "./served-connection.ts";
import { type AuthorizeCall, type PeerServiceOptions, ServiceRoutes } from "./service-routes.ts";
import { checkWires, type Wire } from "./wire.ts";

/**
 * Options of all services of a router: those of Connect's routers, and what a peer needs. `acceptCompression` is by
 * default gzip, brotli, and zstd where Node.js has it; `readMaxBytes` 16 MiB.
 */
export interface PeerRouterOptions extends ConnectRouterOptions {
  /**
   * What peers can call on. With "tonic-iroh", programs with the Rust crate tonic-iroh-transport can call, each service by a
   * protocol of its own, which the endpoint serves from when the service is added. Default `["connect-quic"]`.
   */
  readonly wires?: readonly Wire[];
  /** Asked for each call. Default: everybody may call. Whole connections are refused with the endpoint's `authorize`. */
  readonly authorize?: AuthorizeCall;
  /**
   * Handlers that may run at once for one connection; requests above it are refused as not processed. Counts handlers of
   * calls that were given up, so that a peer cannot start work without end by cancelling. Default 1000.
   */
  readonly maxConcurrentCalls?: number;
  /**
   * What the calls of one connection may hold together of request messages that have not arrived whole. Above it only the
   * call that holds most goes on and the others wait. Bytes, default 64 MiB.
   */
  readonly receiveBudgetBytes?: number;
  /**
   * How long a handler may take, whatever deadline the caller has set. The call then ends with DeadlineExceeded, also when
   * the handler ignores its signal. Milliseconds, default 0: no limit, because streams may live for days.
   */
  readonly handlerTimeoutMs?: number;
  /** Serves gRPC's health service, `grpc.health.v1.Health`, to whom `authorize` lets. Default true. */
  readonly health?: boolean;
}

/** Serves Connect services to peers, and to others where it is told to {@link PeerRouter.listen}. */
export interface PeerRouter extends ConnectRouter, AsyncDisposable {
  readonly endpoint: Endpoint;
  /** Serves a service. Methods that the implementation leaves out answer Unimplemented. */
  service<T extends DescService>(
    service: T,
    implementation: Partial<ServiceImpl<T>>,
    options?: PeerServiceOptions,
  ): this;
  /** Serves a single method. */
  rpc<M extends DescMethod>(
    method: M,
    implementation: MethodImpl<M>,
    options?: PeerServiceOptions,
  ): this;
  /**
   * Serves the same services over plain HTTP/3 as well, with a web certificate: to browsers and every other client of
   * Connect or gRPC-Web that speaks it, and by `createQuicTransport({ to: "https://…" })`. Callers without a key of a peer
   * have no `peerKey`; who they are is at `callerKey`. The endpoint's `authorize` is not asked, the router's is.
   *
   * Rejects with IdentityError for a certificate or key that cannot be, with EndpointError "bind-failed" when an address
   * cannot be had, and with TypeError or RangeError for other options.
   */
  listen(options: ListenOptions): Promise<PublicListener>;
  /**
   * A request handler for Node's own HTTP servers, with which clients reach the same services that do not speak HTTP/3:
   *
   * ```ts
   * http2.createSecureServer({ cert, key, allowHTTP1: true }, router.bridge()).listen(443);
   * ```
   *
   * gRPC needs HTTP/2. Limits of connections and their calls are those of that server, which is yours to close. Throws
   * TypeError or RangeError for options that cannot be.
   */
  bridge(options?: BridgeOptions): NodeRequestHandler;
  /** What the router says of itself to those who ask for its health. */
  readonly health: RouterHealth;
  /** The peers that can be called without dialing them. */
  readonly peers: LivePeers;
  /**
   * A Connect transport to a peer, over a connection that there is, whoever dialed it; it dials when there is none, and
   * serves the peer there. Close it as those of `createQuicTransport`; connections that the peer dialed stay open.
   *
   * Throws a ConnectError InvalidArgument when `to` is malformed, and TypeError or RangeError for other options, or when
   * the router is closed.
   */
  transportTo(to: Target, options?: TransportToOptions): QuicTransport;
  /** Resolves when the router is closed, by {@link close} or with its endpoint. */
  readonly closed: Promise<void>;
  /**
   * Takes no more calls, lets those that run come to their end, at most `graceMs` (default 5000), and closes the
   * connections and listeners. Connections on which it serves a peer that was dialed end as well; a call to that peer
   * dials again. The endpoint stays open. Idempotent.
   */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}

/**
 * Creates a router that serves the protocols Connect, gRPC and gRPC-web to the peers of `endpoint`, and starts to accept
 * their connections. Until it is closed it keeps the process alive.
 *
 * ```ts
 * const router = createPeerRouter(endpoint);
 * router.service(ElizaService, { say: (request, context) => ({ sentence: … }) });
 * await router.closed;
 * ```
 *
 * Throws TypeError or RangeError for options that cannot be, and when the endpoint has a peer router already.
 */
export function createPeerRouter(endpoint: Endpoint, options: PeerRouterOptions = {}): PeerRouter {
  return new ServingRouter(endpoint, options);
}

class ServingRouter implements PeerRouter {
  readonly endpoint: Endpoint;
  readonly closed: Promise<void>;
  readonly health: HealthReport = new HealthReport();
  readonly #closed = deferred<void>();
  readonly #routes: ServiceRoutes;
  readonly #router: Router;
  readonly #calls: CallServerOptions;
  readonly #peerServer: PeerServer;
  readonly #listeners = new Set<PublicListener>();
  /** Serves tonic-iroh, if that is one of the wires. */
  readonly #tonic: ProtocolHandler | undefined;
  readonly #tonicServices = new Set<string>();
  readonly #forget: () => void;
  #closing: Promise<void> | undefined;
  #graceMs = 0;

  constructor(endpoint: Endpoint, options: PeerRouterOptions) {
    checkOptions(options);
    const { authorize, maxConcurrentCalls = 1_000, handlerTimeoutMs = 0, ...others } = options;
    const { receiveBudgetBytes, wires = ["connect-quic"], health: _, ...connect } = others;
    this.endpoint = endpoint;
    this.closed = this.#closed.promise;
    this.#routes = new ServiceRoutes({
      authorize,
      report: (error) => endpoint.report(error),
      limitDuration:
        handlerTimeoutMs === 0 ? undefined : limitDuration(handlerTimeoutMs, endpoint.platform),
      handlers: {
        ...connect,
        acceptCompression: connect.acceptCompression ?? [...defaultCompressions],
        readMaxBytes: connect.readMaxBytes ?? defaultReadMaxBytes,
      },
    });
    this.#calls = {
      routes: this.#routes,
      maxConcurrentCalls,
      receiveBudgetBytes,
      platform: endpoint.platform,
      report: (error) => endpoint.report(error),
    };
    const server = new PeerServer(endpoint, this.#calls);
    this.#peerServer = server;
    registerPeerServer(this, server);
    this.#router = new Router(endpoint);
    if (wires.includes("connect-quic")) {
      this.#router.accept(connectQuicAlpn, {
        earlyData: true,
        accept: (connection) => void server.serve(connection, { role: "server" }),
      });
    }
    if (wires.includes("tonic-iroh")) {
      const { platform, report } = this.#calls;
      const http2 = new Http2Server({ platform, report });
      this.#tonic = {
        accept: (connection) => this.#acceptTonic(http2, connection),
        shutdown: () => http2.shutdown({ timeoutMs: this.#graceMs }),
      };
    }
    if (options.health ?? true) {
      this.service(Health, this.health.service);
    }
    void endpoint.closed.then(() => this.close({ graceMs: 0 }));
    this.#forget = endpoint.serves((graceMs) => this.close({ graceMs }));
  }

  get handlers(): UniversalHandler[] {
    return this.#routes.handlers;
  }

  get peers(): LivePeers {
    return this.#peerServer.peers;
  }

  service<T extends DescService>(
    service: T,
    implementation: Partial<ServiceImpl<T>>,
    options?: PeerServiceOptions,
  ): this {
    this.#routes.addService(service, implementation, options);
    this.#announce(service);
    return this;
  }

  rpc<M extends DescMethod>(
    method: M,
    implementation: MethodImpl<M>,
    options?: PeerServiceOptions,
  ): this {
    this.#routes.addMethod(method, implementation, options);
    this.#announce(method.parent);
    return this;
  }

  async listen(options: ListenOptions): Promise<PublicListener> {
    this.#throwIfClosed();
    const listener = await listenPublicly(options, this.#calls);
    if (this.#closing !== undefined) {
      await listener.close({ graceMs: 0 });
      this.#throwIfClosed();
    }
    this.#listeners.add(listener);
    void listener.closed.then(() => this.#listeners.delete(listener));
    return listener;
  }

  bridge(options?: BridgeOptions): NodeRequestHandler {
    return createNodeBridge(this.#calls, options);
  }

  transportTo(to: Target, options: TransportToOptions = {}): QuicTransport {
    const { endpoint } = this;
    isBoolean("waitForReady", options.waitForReady);
    const calls = resolveTransportOptions(options);
    const addr = parsePeerAddr(to);
    if (this.#closing !== undefined) {
      throw new TypeError("cannot call peers: the router is closed");
    }
    return new PeerTransport({
      endpoint,
      addr,
      calls,
      server: this.#peerServer,
      live: { waitForReady: options.waitForReady ?? false },
    });
  }

  close(options: { readonly graceMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(Math.min(options.graceMs ?? 5_000, longestTimerMs));
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(graceMs: number): Promise<void> {
    this.#graceMs = graceMs;
    this.health.close();
    const release = this.endpoint.hold();
    await Promise.all([
      this.#router.close({ timeoutMs: graceMs }),
      this.#peerServer.shutdown({ timeoutMs: graceMs }),
      ...[...this.#listeners].map((listener) => listener.close({ graceMs })),
    ]);
    release();
    this.#forget();
    this.#closed.resolve();
  }

  #announce({ typeName }: DescService): void {
    this.health.add(typeName);
    if (this.#tonic !== undefined && !this.#tonicServices.has(typeName)) {
      this.#router.accept(tonicIrohAlpn(typeName), this.#tonic);
      this.#tonicServices.add(typeName);
    }
  }

  #acceptTonic(server: Http2Server, connection: Connection): void {
    const { connection: engineConnection, start } = connection.handOver((grace) =>
      session.shutdown(grace),
    );
    const { endpoint } = this;
    const { peers } = this.#peerServer;
    const id = connection.remoteId;
    const caller: Peer = {
      type: "peer",
      id,
      connection,
      transport: (options) => createLiveTransport({ endpoint, id, peers }, options),
    };
    const served = new ServedConnection({ ...this.#calls, caller });
    const session = server.serve(engineConnection, (stream, fields) =>
      served.onRequest(stream, fields),
    );
    start();
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) {
      throw new TypeError("cannot listen: the router is closed");
    }
  }
}

function checkOptions(options: PeerRouterOptions): void {
  checkWires("wires", options.wires ?? ["connect-quic"]);
  isFunction("authorize", options.authorize);
  isBoolean("health", options.health);
  inRange("maxConcurrentCalls", options.maxConcurrentCalls, 1, Number.MAX_SAFE_INTEGER);
  inRange("receiveBudgetBytes", options.receiveBudgetBytes, 1, Number.MAX_SAFE_INTEGER);
  inRange("handlerTimeoutMs", options.handlerTimeoutMs, 0, longestTimerMs);
  inRange("maxTimeoutMs", options.maxTimeoutMs, 1, Number.MAX_SAFE_INTEGER);
  inRange("compressMinBytes", options.compressMinBytes, 0, Number.MAX_SAFE_INTEGER);
  inRange("readMaxBytes", options.readMaxBytes, 1, largestMessageBytes);
  inRange("writeMaxBytes", options.writeMaxBytes, 1, largestMessageBytes);
  isList("interceptors", options.interceptors);
  isList("acceptCompression", options.acceptCompression);
}
