import type { Platform } from "../base/platform.ts";
import { Http3Connection, type Http3ConnectionOptions } from "../http3/http3-connection.ts";
import type { Caller } from "./caller.ts";
import type { Cors } from "./cors.ts";
import type { Handshake } from "./early-request.ts";
import { ServedConnection } from "./served-connection.ts";
import type { ServiceRoutes } from "./service-routes.ts";

export interface CallServerOptions {
  readonly routes: Pick<ServiceRoutes, "find">;
  /** See `PeerRouterOptions`. */
  readonly maxConcurrentCalls: number;
  readonly receiveBudgetBytes: number | undefined;
  readonly platform: Platform;
  readonly report: (error: unknown) => void;
}

/** What can be said of a connection that is served. */
export interface ServeOptions
  extends Omit<Http3ConnectionOptions, "limits" | "onRequest" | "platform"> {
  /** Default: it is done. */
  readonly handshake?: Handshake;
}

/** Serves calls on connections of callers of one kind, until it shuts down. */
export class CallServer {
  readonly #options: CallServerOptions;
  readonly #cors: Cors | undefined;
  readonly #sessions = new Set<Http3Connection>();

  constructor(options: CallServerOptions, cors?: Cors) {
    this.#options = options;
    this.#cors = cors;
  }

  /** Takes a connection over. */
  serve(
    connection: ConstructorParameters<typeof Http3Connection>[0],
    caller: Caller,
    options: ServeOptions = { role: "server" },
  ): Http3Connection {
    const { handshake } = options;
    const served = new ServedConnection({ ...this.#options, caller, handshake });
    const cors = this.#cors;
    const session = new Http3Connection(connection, {
      // One by one, because spread ones cost each connection a shape of its own.
      role: options.role,
      keepAlive: options.keepAlive,
      keepAliveMs: options.keepAliveMs,
      requestsBothWays: options.requestsBothWays,
      onSettings: options.onSettings,
      onGoaway: options.onGoaway,
      platform: this.#options.platform,
      onRequest: (stream, fields) =>
        cors === undefined
          ? served.onRequest(stream, fields)
          : (cors.answerPreflight(stream, fields) ??
            served.onRequest(cors.wrap(stream, fields), fields)),
      onClosed: (cause) => {
        this.#sessions.delete(session);
        options.onClosed?.(cause);
      },
    });
    this.#sessions.add(session);
    return session;
  }

  /** Lets calls that run end, and closes all connections; at the latest after `timeoutMs`. */
  async shutdown(options: { readonly timeoutMs: number }): Promise<void> {
    await Promise.all([...this.#sessions].map((session) => session.shutdown(options)));
  }
}
