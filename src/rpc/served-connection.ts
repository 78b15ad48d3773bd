import type { Platform } from "../base/platform.ts";
import type { MessageHandler, RequestStream } from "../http3/request-stream.ts";
import type { RequestHead } from "./fields.ts";
import type { Peer } from "./peer-context.ts";
import { type Route, ServerCall, type ServerCallContext } from "./server-call.ts";
import type { ServiceRoutes } from "./service-routes.ts";

export interface ServedConnectionOptions {
  readonly peer: Peer;
  readonly routes: Pick<ServiceRoutes, "find">;
  /** Handlers that may run at once for this connection, those of calls that were given up included. */
  readonly maxConcurrentCalls: number;
  readonly platform: Pick<Platform, "now" | "soon">;
  readonly report: (error: unknown) => void;
}

/** The calls that come in on one connection. */
export class ServedConnection implements ServerCallContext {
  readonly peer: Peer;
  readonly platform: Pick<Platform, "now" | "soon">;
  readonly #options: ServedConnectionOptions;
  #running = 0;

  constructor(options: ServedConnectionOptions) {
    this.peer = options.peer;
    this.platform = options.platform;
    this.#options = options;
  }

  /** Takes a request. */
  onRequest(stream: RequestStream): MessageHandler {
    return new ServerCall(this, stream);
  }

  // ServerCallContext

  route(head: RequestHead): Route {
    return this.#options.routes.find(head.path);
  }

  admit(): boolean {
    if (this.#running >= this.#options.maxConcurrentCalls) {
      return false;
    }
    this.#running += 1;
    return true;
  }

  ended(): void {
    this.#running -= 1;
  }

  report(error: unknown): void {
    this.#options.report(error);
  }
}
