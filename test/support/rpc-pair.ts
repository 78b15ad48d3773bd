// A Connect transport and a router joined by HTTP/3 in memory: everything of src/rpc but dialing.

import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouterOptions, ServiceImpl, Transport } from "@connectrpc/connect";
import { validateReadWriteMaxBytes } from "@connectrpc/connect/protocol";
import { nodePlatform } from "../../src/base/node-platform.ts";
import type { Platform } from "../../src/base/platform.ts";
import type { Peer } from "../../src/rpc/caller.ts";
import { Channel } from "../../src/rpc/channel.ts";
import { ClientCall, type ClientCallContext } from "../../src/rpc/client-call.ts";
import { limitDuration } from "../../src/rpc/limit-duration.ts";
import {
  createProtocolTransport,
  type Protocol,
  type ProtocolTransportOptions,
} from "../../src/rpc/protocol-transport.ts";
import type { BackoffOptions } from "../../src/rpc/redial-plan.ts";
import { ServedConnection } from "../../src/rpc/served-connection.ts";
import {
  type AuthorizeCall,
  type PeerServiceOptions,
  ServiceRoutes,
} from "../../src/rpc/service-routes.ts";
import type { SessionEvents } from "../../src/rpc/session.ts";
import { LoopbackSession } from "./loopback-http3.ts";

export interface RpcPairOptions {
  readonly protocol?: Protocol;
  readonly transport?: Partial<ProtocolTransportOptions>;
  readonly router?: ConnectRouterOptions;
  readonly authorize?: AuthorizeCall;
  readonly maxConcurrentCalls?: number;
  readonly receiveBudgetBytes?: number;
  readonly handlerTimeoutMs?: number;
  readonly window?: number;
  readonly platform?: Platform;
  readonly dialTimeoutMs?: number;
  readonly backoff?: BackoffOptions;
  /** Instead of a loopback session at once. */
  readonly dial?: (events: SessionEvents, signal: AbortSignal) => Promise<LoopbackSession>;
}

/** A peer whose id prints as `5e5e5e5e5e`; it has no connection. */
export const testPeer: Peer = {
  type: "peer",
  id: { short: "5e5e5e5e5e" } as Peer["id"],
  connection: {} as Peer["connection"],
  transport: () => {
    throw new Error("it has no connection");
  },
};

export class RpcPair {
  readonly transport: Transport;
  readonly channel: Channel;
  readonly routes: ServiceRoutes;
  /** Sessions in the order in which they were dialed. */
  readonly sessions: LoopbackSession[] = [];
  /** Their servers' ends. */
  readonly served: ServedConnection[] = [];
  /** What could be told to no caller. */
  readonly reports: unknown[] = [];
  /** Calls that are not over, on the client's side. */
  readonly calls: Set<ClientCall> = new Set();
  /** How often the process is kept alive now. */
  held = 0;
  readonly #options: RpcPairOptions;

  constructor(options: RpcPairOptions = {}) {
    this.#options = options;
    const platform = options.platform ?? nodePlatform;
    this.routes = new ServiceRoutes({
      handlers: { readMaxBytes: 16_777_216, ...options.router },
      authorize: options.authorize,
      limitDuration:
        options.handlerTimeoutMs === undefined
          ? undefined
          : limitDuration(options.handlerTimeoutMs, platform),
      report: (error) => this.reports.push(error),
    });
    this.channel = new Channel({
      peer: "c1c1c1c1c1",
      platform,
      dial: async (events, { signal }) => {
        const session = await (options.dial?.(events, signal) ?? this.open(events));
        this.sessions.push(session);
        return session;
      },
      ...(options.backoff === undefined ? {} : { backoff: options.backoff }),
    });
    const context: ClientCallContext = {
      channel: this.channel,
      dialTimeoutMs: options.dialTimeoutMs ?? 10_000,
      platform,
      hold: () => {
        this.held += 1;
        return () => {
          this.held -= 1;
        };
      },
    };
    const common = {
      baseUrl: "https://c1c1.iroh.invalid",
      useBinaryFormat: true,
      interceptors: [],
      acceptCompression: [],
      sendCompression: null,
      ...validateReadWriteMaxBytes(undefined, undefined, undefined),
      ...options.transport,
    };
    this.transport = createProtocolTransport(
      options.protocol ?? "connect",
      common,
      (request, response) => {
        const call = new ClientCall(context, request, response, () => this.calls.delete(call));
        this.calls.add(call);
        call.start();
      },
    );
  }

  /** The session that was dialed last. */
  get session(): LoopbackSession {
    const session = this.sessions.at(-1);
    if (session === undefined) {
      throw new Error("nothing was dialed");
    }
    return session;
  }

  serve<T extends DescService>(
    service: T,
    implementation: Partial<ServiceImpl<T>>,
    options?: PeerServiceOptions,
  ): this {
    this.routes.addService(service, implementation, options);
    return this;
  }

  open(events?: SessionEvents): LoopbackSession {
    const served = new ServedConnection({
      caller: testPeer,
      routes: this.routes,
      maxConcurrentCalls: this.#options.maxConcurrentCalls ?? 1_000,
      receiveBudgetBytes: this.#options.receiveBudgetBytes,
      platform: this.#options.platform ?? nodePlatform,
      report: (error) => this.reports.push(error),
    });
    this.served.push(served);
    return new LoopbackSession({
      onRequest: (stream, fields) => served.onRequest(stream, fields),
      ...(events === undefined ? {} : { events }),
      ...(this.#options.window === undefined ? {} : { window: this.#options.window }),
    });
  }
}
