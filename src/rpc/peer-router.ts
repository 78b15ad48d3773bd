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
import { Router } from "../endpoint/router.ts";
import { connectQuicAlpn } from "./alpn.ts";
import { CallServer, type CallServerOptions } from "./call-server.ts";
import {
  inRange,
  isFunction,
  isList,
  largestMessageBytes,
  longestTimerMs,
} from "./check-options.ts";
import { defaultCompressions } from "./compressions.ts";
import { limitDuration } from "./limit-duration.ts";
import { defaultReadMaxBytes } from "./message-limits.ts";
import { type BridgeOptions, createNodeBridge, type NodeRequestHandler } from "./node-bridge.ts";
import { type ListenOptions, listenPublicly, type PublicListener } from "./public-listener.ts";
import { type AuthorizeCall, type PeerServiceOptions, ServiceRoutes } from "./service-routes.ts";

/**
 * Options of all services of a router: those of Connect's routers, and what a peer needs. `acceptCompression` is by
 * default gzip, brotli, and zstd where Node.js has it; `readMaxBytes` 16 MiB.
 */
export interface PeerRouterOptions extends ConnectRouterOptions {
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
  /** Resolves when the router is closed, by {@link close} or with its endpoint. */
  readonly closed: Promise<void>;
  /**
   * Takes no more calls, lets those that run come to their end, at most `graceMs` (default 5000), and closes the
   * connections and listeners. The endpoint stays open. Idempotent.
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
  readonly #closed = deferred<void>();
  readonly #routes: ServiceRoutes;
  readonly #router: Router;
  readonly #calls: CallServerOptions;
  readonly #listeners = new Set<PublicListener>();
  #closing: Promise<void> | undefined;
  #graceMs = 0;

  constructor(endpoint: Endpoint, options: PeerRouterOptions) {
    checkOptions(options);
    const { authorize, maxConcurrentCalls = 1_000, handlerTimeoutMs = 0, ...others } = options;
    const { receiveBudgetBytes, ...connect } = others;
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
    const server = new CallServer(this.#calls);
    this.#router = new Router(endpoint).accept(connectQuicAlpn, {
      accept: (connection) => acceptPeer(server, connection),
      shutdown: () => server.shutdown({ timeoutMs: this.#graceMs }),
    });
    void endpoint.closed.then(() => this.close({ graceMs: 0 }));
  }

  get handlers(): UniversalHandler[] {
    return this.#routes.handlers;
  }

  service<T extends DescService>(
    service: T,
    implementation: Partial<ServiceImpl<T>>,
    options?: PeerServiceOptions,
  ): this {
    this.#routes.addService(service, implementation, options);
    return this;
  }

  rpc<M extends DescMethod>(
    method: M,
    implementation: MethodImpl<M>,
    options?: PeerServiceOptions,
  ): this {
    this.#routes.addMethod(method, implementation, options);
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

  close(options: { readonly graceMs?: number } = {}): Promise<void> {
    this.#closing ??= this.#close(Math.min(options.graceMs ?? 5_000, longestTimerMs));
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(graceMs: number): Promise<void> {
    this.#graceMs = graceMs;
    await Promise.all([
      this.#router.close({ timeoutMs: graceMs }),
      ...[...this.#listeners].map((listener) => listener.close({ graceMs })),
    ]);
    this.#closed.resolve();
  }

  #throwIfClosed(): void {
    if (this.#closing !== undefined) {
      throw new TypeError("cannot listen: the router is closed");
    }
  }
}

function acceptPeer(server: CallServer, connection: Connection): void {
  const { connection: engineConnection, start } = connection.handOver((grace) =>
    session.shutdown(grace),
  );
  const session = server.serve(engineConnection, {
    type: "peer",
    id: connection.remoteId,
    connection,
  });
  start();
}

function checkOptions(options: PeerRouterOptions): void {
  isFunction("authorize", options.authorize);
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
