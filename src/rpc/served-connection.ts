import type { MessageHandler, RequestStream } from "../http3/request-stream.ts";
import type { Caller } from "./caller.ts";
import { EarlyRequest, type Handshake } from "./early-request.ts";
import type { FieldSection } from "./fields.ts";
import { ReceiveBudget } from "./receive-budget.ts";
import { type Route, ServerCall, type ServerCallContext } from "./server-call.ts";
import type { ServiceRoutes } from "./service-routes.ts";
import { readUnaryRequestHead } from "./unary-route.ts";
import { UnaryServerCall } from "./unary-server-call.ts";

export interface ServedConnectionOptions {
  readonly caller: Caller;
  /** Default: it is done. */
  readonly handshake?: Handshake | undefined;
  readonly routes: Pick<ServiceRoutes, "find">;
  /** Handlers that may run at once for this connection, those of calls that were given up included. */
  readonly maxConcurrentCalls: number;
  /** What all requests together may hold of messages that are not complete. Default 64 MiB. */
  readonly receiveBudgetBytes?: number | undefined;
  readonly platform: ServerCallContext["platform"];
  readonly report: (error: unknown) => void;
}

/** The calls that come in on one connection. */
export class ServedConnection implements ServerCallContext {
  readonly caller: Caller;
  readonly platform: ServerCallContext["platform"];
  readonly budget: ReceiveBudget;
  readonly #handshake: Handshake | undefined;
  readonly #routes: ServedConnectionOptions["routes"];
  readonly #maxConcurrentCalls: number;
  readonly #report: ServedConnectionOptions["report"];
  #running = 0;

  constructor(options: ServedConnectionOptions) {
    this.caller = options.caller;
    this.platform = options.platform;
    this.budget = new ReceiveBudget(options.receiveBudgetBytes);
    this.#handshake = options.handshake;
    this.#routes = options.routes;
    this.#maxConcurrentCalls = options.maxConcurrentCalls;
    this.#report = options.report;
  }

  /** Takes a request: at once, unless it came as early data and its method may do something. */
  onRequest(stream: RequestStream, fields: FieldSection): MessageHandler {
    const handshake = this.#handshake;
    return handshake?.early === true && !this.#runsEarly(fields)
      ? new EarlyRequest(stream, fields, handshake, (...request) => this.#take(...request))
      : this.#take(stream, fields);
  }

  #runsEarly(fields: FieldSection): boolean {
    const path = fields.find(([name]) => name === ":path")?.[1];
    return path !== undefined && this.route(path).early === true;
  }

  /** The short way where it can. */
  #take(stream: RequestStream, fields: FieldSection): MessageHandler {
    const head = readUnaryRequestHead(fields);
    if (head !== undefined) {
      const route = this.route(head.path);
      if (route.unary?.serves(head.protocol) === true) {
        return new UnaryServerCall(this, stream, head, route, route.unary);
      }
    }
    return new ServerCall(this, stream);
  }

  // ServerCallContext

  route(path: string): Route {
    return this.#routes.find(path);
  }

  admit(): boolean {
    if (this.#running >= this.#maxConcurrentCalls) {
      return false;
    }
    this.#running += 1;
    return true;
  }

  ended(): void {
    this.#running -= 1;
  }

  report(error: unknown): void {
    this.#report(error);
  }
}
