import { Code, ConnectError, type ContextValues, type HandlerContext } from "@connectrpc/connect";
import type { Timer } from "../base/platform.ts";
import { callerValues } from "./caller.ts";
import { headersFromFields } from "./fields.ts";
import type { ServerCallContext } from "./server-call.ts";
import type { UnaryRequestHead, UnaryRoute } from "./unary-route.ts";

/**
 * What a handler of the short way gets beside the message. Most handlers look at little of it, so headers, signal and
 * context values are made when someone looks.
 */
export class UnaryContext {
  readonly #route: UnaryRoute;
  readonly #head: UnaryRequestHead;
  readonly #context: Pick<ServerCallContext, "caller" | "platform">;
  #arrivedMs = 0;
  #timeoutMs: number | undefined;
  #abort: AbortController | undefined;
  #ended: { readonly reason: unknown } | undefined;
  #deadline: Timer | undefined;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;
  #values: ContextValues | undefined;

  constructor(
    route: UnaryRoute,
    head: UnaryRequestHead,
    context: Pick<ServerCallContext, "caller" | "platform">,
  ) {
    this.#route = route;
    this.#head = head;
    this.#context = context;
  }

  /** The request is here, and its caller waits for `timeoutMs` if it says so. */
  arrived(timeoutMs: number | undefined): void {
    this.#arrivedMs = this.#context.platform.now();
    this.#timeoutMs = timeoutMs;
  }

  /** Nobody has looked at the headers or trailers of the answer. */
  get isPlain(): boolean {
    return this.#responseHeader === undefined && this.#responseTrailer === undefined;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers(
      this.#head.protocol.responseHeader(this.#head, this.#route),
    );
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers(this.#head.protocol.responseTrailer);
    return this.#responseTrailer;
  }

  /** What is left of the caller's time. Milliseconds, undefined without end. */
  remainingMs(): number | undefined {
    return this.#timeoutMs === undefined
      ? undefined
      : this.#timeoutMs - (this.#context.platform.now() - this.#arrivedMs);
  }

  /** The signal fires, whether or not somebody has looked at it yet. The first reason counts. */
  end(reason: unknown): void {
    if (this.#ended === undefined) {
      this.#ended = { reason };
      if (this.#deadline !== undefined) {
        this.#context.platform.clearTimer(this.#deadline);
      }
      this.#abort?.abort(reason);
    }
  }

  /**
   * As the object of connect-es, with properties of its own: it can be spread. A proxy is made in a thirtieth of the time
   * that an object with getters takes.
   */
  forHandler(): HandlerContext {
    return new Proxy(new HandlerProperties(this), handlerContext) as object as HandlerContext;
  }

  /** What handlers see. */
  property(name: ContextProperty): unknown {
    const { authority, fields, path } = this.#head;
    switch (name) {
      case "method":
        return this.#route.method;
      case "service":
        return this.#route.method.parent;
      case "protocolName":
        return this.#head.protocol.name;
      case "requestMethod":
        return "POST";
      case "url":
        return `https://${authority}${path}`;
      case "timeoutMs":
        return () => this.remainingMs();
      case "signal":
        return this.#signal();
      case "requestHeader":
        this.#requestHeader ??= headersFromFields(fields) ?? new Headers();
        return this.#requestHeader;
      case "responseHeader":
        return this.responseHeader;
      case "responseTrailer":
        return this.responseTrailer;
      case "values":
        this.#values ??= callerValues(this.#context.caller);
        return this.#values;
    }
  }

  #signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      const remainingMs = this.remainingMs();
      if (this.#ended !== undefined) {
        this.#abort.abort(this.#ended.reason);
      } else if (remainingMs !== undefined) {
        this.#deadline = this.#context.platform.setTimer(Math.max(0, remainingMs), () => {
          this.end(new ConnectError("the operation timed out", Code.DeadlineExceeded));
        });
      }
    }
    return this.#abort.signal;
  }
}

type ContextProperty = keyof HandlerContext;

const properties: Readonly<Record<ContextProperty, true>> = {
  method: true,
  service: true,
  protocolName: true,
  requestMethod: true,
  url: true,
  timeoutMs: true,
  signal: true,
  requestHeader: true,
  responseHeader: true,
  responseTrailer: true,
  values: true,
};
const names = Object.keys(properties);

function isProperty(name: string | symbol): name is ContextProperty {
  return typeof name === "string" && Object.hasOwn(properties, name);
}

/** What a handler has of its context, and what it adds to it itself. */
class HandlerProperties {
  readonly #context: UnaryContext;

  constructor(context: UnaryContext) {
    this.#context = context;
  }

  static get(properties: HandlerProperties, name: string | symbol): unknown {
    return isProperty(name) && !Object.hasOwn(properties, name)
      ? properties.#context.property(name)
      : Reflect.get(properties, name);
  }
}

const handlerContext: ProxyHandler<HandlerProperties> = {
  get: HandlerProperties.get,
  has: (added, name) => isProperty(name) || Reflect.has(added, name),
  ownKeys: (added) => [...new Set([...names, ...Reflect.ownKeys(added)])],
  getOwnPropertyDescriptor: (added, name) =>
    isProperty(name)
      ? {
          configurable: true,
          enumerable: true,
          writable: true,
          value: HandlerProperties.get(added, name),
        }
      : Reflect.getOwnPropertyDescriptor(added, name),
  getPrototypeOf: () => Object.prototype,
};
