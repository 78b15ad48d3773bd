import {
  Code,
  ConnectError,
  type ContextValues,
  type HandlerContext,
  type ServiceImpl,
  type Transport,
} from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { nodePlatform } from "../base/node-platform.ts";
import { onAbort } from "../base/on-abort.ts";
import { Signal } from "../base/signal.ts";
import { createCallTransport } from "./call-transport.ts";
import { CallingTunnel } from "./calling-tunnel.ts";
import type {
  ClientToServer,
  ServerToClient,
  TunnelService,
} from "./gen/grpctunnel/v1/tunnel_pb.ts";
import { announce, readAnnouncement } from "./negotiation.ts";
import { ServingTunnel } from "./serving-tunnel.ts";
import { resolveLimits } from "./tunnel-limits.ts";
import type { CloseTunnelOptions, TunnelCallOptions, TunnelOptions } from "./tunnel-options.ts";
import { RingPool, type TunnelPool, TunnelRing } from "./tunnel-pool.ts";
import { type TunnelRouterOptions, TunnelRoutes, type TunnelRoutesFn } from "./tunnel-routes.ts";
import type { TunnelTransport } from "./tunnel-transport.ts";

/** A reverse tunnel that somebody has opened to this side: a transport for calls to them. */
export interface ReverseTunnel extends TunnelTransport {
  /** A transport through the same tunnel, with options of its own. */
  withOptions(options: TunnelCallOptions): Transport;
  /** Headers of the request that opened the tunnel. */
  readonly header: Headers;
  /** Context values of that request: a `peerKey`, and what interceptors have found out. */
  readonly values: ContextValues;
  /** What the `affinityKey` of the service's options made of it. */
  readonly key: unknown;
}

export interface TunnelHostOptions extends TunnelOptions {
  /**
   * What can be called through forward tunnels. Default: those are refused with Unimplemented. The `authorize` hooks of a
   * peer router are asked for the tunnel alone, not for the calls in it; those are the business of interceptors.
   */
  readonly routes?: TunnelRoutesFn;
  /** Of these services. */
  readonly router?: TunnelRouterOptions;
  /** False refuses reverse tunnels with Unimplemented. Default true. */
  readonly reverseTunnels?: boolean;
  /** The key under which {@link TunnelHost.transportTo} finds a tunnel. What it throws refuses the tunnel. */
  readonly affinityKey?: (tunnel: ReverseTunnel) => unknown;
  /** A reverse tunnel is open. What it throws closes the tunnel. */
  readonly onReverseTunnelOpen?: (tunnel: ReverseTunnel) => void;
  /** It is closed, which its `closeCause` explains. What it throws is dropped. */
  readonly onReverseTunnelClose?: (tunnel: ReverseTunnel) => void;
}

/** Accepts tunnels, and offers those that are reverse for calls. */
export interface TunnelHost extends AsyncDisposable {
  /** For a router: `router.service(TunnelService, host.service)`. */
  readonly service: ServiceImpl<typeof TunnelService>;
  /** All reverse tunnels that are open. */
  readonly reverseTunnels: readonly ReverseTunnel[];
  /** Calls through all reverse tunnels, by turns. */
  transport(options?: TunnelCallOptions): TunnelPool;
  /** Calls through the reverse tunnels with this key, by turns. Keys are equal as those of a Map are. */
  transportTo(key: unknown, options?: TunnelCallOptions): TunnelPool;
  /**
   * Refuses new tunnels and calls with Unavailable, lets calls that run come to their end, at most `graceMs` (default 0),
   * and closes all tunnels. The router is not closed. Resolves when all of that is done; a second call can only shorten
   * the time.
   */
  close(options?: CloseTunnelOptions): Promise<void>;
}

/**
 * Makes a host of tunnels, whose service any router can serve.
 *
 * ```ts
 * const tunnels = createTunnelHost({ routes: (router) => router.service(ElizaService, eliza) });
 * router.service(TunnelService, tunnels.service);
 * ```
 */
export function createTunnelHost(options: TunnelHostOptions = {}): TunnelHost {
  return new Host(options);
}

class Host implements TunnelHost {
  readonly service: ServiceImpl<typeof TunnelService>;
  readonly #options: TunnelHostOptions;
  readonly #routes: TunnelRoutes | undefined;
  readonly #forward = new Set<ServingTunnel>();
  readonly #reverse = new Set<CallingTunnel>();
  readonly #all = new TunnelRing<AcceptedTunnel>();
  readonly #byKey = new Map<unknown, TunnelRing<AcceptedTunnel>>();
  readonly #added = new Signal();
  #closing = false;

  constructor(options: TunnelHostOptions) {
    resolveLimits(options.limits);
    this.#options = options;
    this.#routes = options.routes && new TunnelRoutes(options.routes, options.router);
    this.service = {
      openTunnel: (requests, context) => this.#openTunnel(requests, context),
      openReverseTunnel: (requests, context) => this.#openReverseTunnel(requests, context),
    };
  }

  get reverseTunnels(): readonly ReverseTunnel[] {
    return this.#all.values();
  }

  transport(options?: TunnelCallOptions): TunnelPool {
    return this.#pool(() => this.#all, options);
  }

  transportTo(key: unknown, options?: TunnelCallOptions): TunnelPool {
    return this.#pool(() => this.#byKey.get(key), options);
  }

  async close(options: CloseTunnelOptions = {}): Promise<void> {
    this.#closing = true;
    await Promise.all([...this.#forward, ...this.#reverse].map((tunnel) => tunnel.drain(options)));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #openTunnel(
    requests: AsyncIterable<ClientToServer>,
    { requestHeader, responseHeader, signal, values }: HandlerContext,
  ): AsyncIterable<ServerToClient> {
    if (this.#routes === undefined) {
      throw new ConnectError("forward tunnels are not served here", Code.Unimplemented);
    }
    this.#throwIfClosing();
    announce(responseHeader);
    const tunnel = new ServingTunnel(this.#routes, this.#options, nodePlatform);
    this.#forward.add(tunnel);
    tunnel.negotiated({
      announced: readAnnouncement(requestHeader),
      tunnel: { direction: "forward", header: requestHeader, responseHeader },
      values,
    });
    failOnAbort(tunnel, signal);
    void tunnel.run(requests);
    void tunnel.closed.then(() => this.#forward.delete(tunnel));
    return tunnel.frames;
  }

  #openReverseTunnel(
    requests: AsyncIterable<ServerToClient>,
    context: HandlerContext,
  ): AsyncIterable<ClientToServer> {
    if (this.#options.reverseTunnels === false) {
      throw new ConnectError("reverse tunnels are not taken here", Code.Unimplemented);
    }
    this.#throwIfClosing();
    const { requestHeader, responseHeader, signal } = context;
    const calling = new CallingTunnel(this.#options, nodePlatform);
    const tunnel = new AcceptedTunnel(calling, context);
    tunnel.key = this.#options.affinityKey?.(tunnel);
    announce(responseHeader);
    this.#reverse.add(calling);
    // The client waits for the headers of the response, which Connect sends with the first frame.
    calling.greet();
    calling.negotiated(readAnnouncement(requestHeader));
    failOnAbort(calling, signal);
    void calling.run(requests);
    void calling.closed.then(() => this.#reverse.delete(calling));
    calling.opened.then(
      () => this.#opened(tunnel, calling),
      () => {},
    );
    return calling.frames;
  }

  #pool(
    ring: () => TunnelRing<AcceptedTunnel> | undefined,
    options: TunnelCallOptions | undefined,
  ): TunnelPool {
    const pool = new RingPool(ring, this.#added);
    const call: UniversalClientFn = async (request) => await pool.next().call(request);
    return pool.as(createCallTransport(call, options));
  }

  #opened(tunnel: AcceptedTunnel, calling: CallingTunnel): void {
    if (calling.closeCause !== undefined) {
      return;
    }
    try {
      this.#options.onReverseTunnelOpen?.(tunnel);
    } catch (error) {
      calling.fail(ConnectError.from(error, Code.Internal));
      return;
    }
    const { key } = tunnel;
    const ring = this.#byKey.get(key) ?? new TunnelRing<AcceptedTunnel>();
    this.#byKey.set(key, ring);
    ring.add(tunnel);
    this.#all.add(tunnel);
    this.#added.notify();
    void tunnel.closed.then(() => {
      this.#all.delete(tunnel);
      ring.delete(tunnel);
      if (ring.size === 0 && this.#byKey.get(key) === ring) {
        this.#byKey.delete(key);
      }
      try {
        this.#options.onReverseTunnelClose?.(tunnel);
      } catch {
        // The tunnel is gone whatever the hook thinks of it.
      }
    });
  }

  #throwIfClosing(): void {
    if (this.#closing) {
      throw new ConnectError("this host takes no more tunnels", Code.Unavailable);
    }
  }
}

class AcceptedTunnel implements ReverseTunnel {
  readonly header: Headers;
  readonly values: ContextValues;
  readonly opened: Promise<void>;
  readonly closed: Promise<void>;
  readonly call: UniversalClientFn;
  readonly unary: Transport["unary"];
  readonly stream: Transport["stream"];
  readonly #tunnel: CallingTunnel;
  key: unknown;

  constructor(tunnel: CallingTunnel, { requestHeader, values }: HandlerContext) {
    this.#tunnel = tunnel;
    this.header = requestHeader;
    this.values = values;
    this.opened = tunnel.opened;
    this.closed = tunnel.closed;
    this.call = tunnel.call;
    ({ unary: this.unary, stream: this.stream } = this.withOptions({}));
  }

  get closeCause(): ConnectError | undefined {
    return this.#tunnel.closeCause;
  }

  withOptions(options: TunnelCallOptions): Transport {
    return createCallTransport(this.call, options);
  }

  close(options: CloseTunnelOptions = {}): Promise<void> {
    return this.#tunnel.drain(options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The client that opened the tunnel is gone. */
function failOnAbort(
  tunnel: { fail(error: ConnectError): void; readonly closed: Promise<void> },
  signal: AbortSignal,
): void {
  const stopListening = onAbort(signal, () => {
    tunnel.fail(new ConnectError("the tunnel's client is gone", Code.Unavailable));
  });
  void tunnel.closed.then(stopListening);
}
