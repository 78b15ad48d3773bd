import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, type HandlerContext } from "@connectrpc/connect";
import type { Timer } from "../base/platform.ts";
import { callerValues } from "./caller.ts";
import { headersFromFields } from "./fields.ts";
import type { ServerCallContext } from "./server-call.ts";
import { contentTypes, type UnaryRequestHead } from "./unary-route.ts";

/**
 * What a handler of the short way gets beside the message. Most handlers look at little of it, so headers, signal and
 * context values are made when someone looks.
 */
export class UnaryContext {
  readonly #method: DescMethod;
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
    method: DescMethod,
    head: UnaryRequestHead,
    context: Pick<ServerCallContext, "caller" | "platform">,
  ) {
    this.#method = method;
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
    this.#responseHeader ??= new Headers({ "content-type": contentTypes[this.#head.format] });
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
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

  /** An object of its own properties, as that of connect-es: it can be spread. */
  forHandler(): HandlerContext {
    const context = this;
    const { authority, path } = this.#head;
    return {
      method: this.#method,
      service: this.#method.parent,
      protocolName: "connect",
      requestMethod: "POST",
      url: `https://${authority}${path}`,
      timeoutMs: () => context.remainingMs(),
      get signal() {
        return context.#signal();
      },
      get requestHeader() {
        context.#requestHeader ??= headersFromFields(context.#head.fields) ?? new Headers();
        return context.#requestHeader;
      },
      get responseHeader() {
        return context.responseHeader;
      },
      get responseTrailer() {
        return context.responseTrailer;
      },
      get values() {
        context.#values ??= callerValues(context.#context.caller);
        return context.#values;
      },
    };
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
