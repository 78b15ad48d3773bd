import type { ConnectError } from "@connectrpc/connect";
import type {
  UniversalHandlerFn,
  UniversalServerRequest,
  UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import type { Platform } from "../base/platform.ts";
import { H3, type H3Error } from "../http3/h3-error.ts";
import type { MessageHandler, RequestStream } from "../http3/request-stream.ts";
import { BodyQueue } from "./body-queue.ts";
import { BodySender } from "./body-sender.ts";
import { type CallScope, callComplete, callScopeKey } from "./call-scope.ts";
import { type Caller, callerName, callerValues } from "./caller.ts";
import { abortReason, answerUnwanted } from "./connect-errors.ts";
import {
  type FieldSection,
  fieldsFromHeaders,
  parseRequestHead,
  type RequestHead,
  responseFields,
} from "./fields.ts";
import { HeldContent, ReceiveGate } from "./held-content.ts";
import type { Framing } from "./message-meter.ts";
import type { ReceiveBudget } from "./receive-budget.ts";
import { parseTimeoutMs } from "./timeout-field.ts";
import type { UnaryRoute } from "./unary-route.ts";

/** Who answers requests for a path. */
export interface Route {
  readonly handle: UniversalHandlerFn;
  /** Largest message that the handler takes. Bytes. */
  readonly readMaxBytes: number;
  /** It may run for what comes as early data, which others can send again. Default false. */
  readonly early?: boolean;
  /** The short way, for requests that can go it. */
  readonly unary?: UnaryRoute | undefined;
  /** Undefined when this caller may have an answer, or what it gets instead; the handler does not run then. */
  authorize?(caller: Caller): ConnectError | undefined | Promise<ConnectError | undefined>;
}

export interface ServerCallContext {
  readonly caller: Caller;
  /** What all requests together may hold of messages that are not complete. */
  readonly budget: ReceiveBudget;
  /** Also for paths that are not served. */
  route(path: string): Route;
  /** Asks to run one more handler. Each true is followed by one {@link ended}. */
  admit(): boolean;
  ended(): void;
  readonly platform: Pick<Platform, "clearTimer" | "now" | "setTimer" | "settled" | "soon">;
  /** Gets failures that the caller cannot be told of. */
  report(error: unknown): void;
}

/**
 * One request of a peer and the handler that answers it. When the caller is gone, the handler's signal fires at once, and
 * what the handler yields after that goes nowhere.
 */
export class ServerCall implements MessageHandler, CallScope {
  refusal: ConnectError | undefined;
  readonly #context: ServerCallContext;
  readonly #stream: RequestStream;
  readonly #abort = new AbortController();
  readonly #request: BodyQueue;
  #header: Headers | undefined;
  #arrivedMs = 0;
  #requestOver = false;
  /** The answer is complete, or nobody is there to get it. */
  #answerOver = false;
  readonly #gate: ReceiveGate;
  #held: HeldContent | undefined;
  /** What goes on although the call is over. */
  #outliving: Promise<void> | undefined;
  #answer: AsyncIterator<Uint8Array> | undefined;
  #sender: BodySender | undefined;

  constructor(context: ServerCallContext, stream: RequestStream) {
    this.#context = context;
    this.#stream = stream;
    this.#gate = new ReceiveGate(stream);
    const reader = this.#gate.holder();
    this.#request = new BodyQueue({
      pause: reader.pause,
      resumeSoon: () => context.platform.soon(reader.resume),
      abandon: () => this.#stopReceiving(),
    });
  }

  // CallScope

  complete(): void {
    this.#abort.abort(callComplete);
  }

  outlives(work: Promise<unknown>): void {
    const done = (): void => {};
    this.#outliving = work.then(done, done);
  }

  // MessageHandler

  headers(fields: FieldSection): void {
    const head = parseRequestHead(fields);
    if (head === undefined) {
      this.#answerOver = true;
      this.#stream.sendHeaders(responseFields(400, undefined), { end: true });
      this.#stopReceiving();
    } else if (this.#context.admit()) {
      this.#arrivedMs = this.#context.platform.now();
      this.#header = head.header;
      const framing = framingOf(head.header.get("content-type") ?? "");
      this.#held = new HeldContent(this.#context.budget, this.#gate.holder(), framing);
      void this.#run(head);
    } else {
      this.#answerOver = true;
      this.#stream.cancel(H3.REQUEST_REJECTED);
    }
  }

  informational(): void {}

  data(bytes: Uint8Array): void {
    this.#request.push(bytes);
    this.#held?.add(bytes);
  }

  trailers(): void {
    // No protocol of Connect puts anything there.
  }

  end(): void {
    this.#requestOver = true;
    this.#held?.end();
    this.#request.end();
  }

  failed(error: H3Error): void {
    this.#requestOver = true;
    this.#callerGone(error);
  }

  writable(): void {
    this.#sender?.writable();
  }

  stopped(code: bigint): void {
    if (this.#answerOver) {
      return;
    }
    this.#callerGone(answerUnwanted(code));
    this.#stream.cancel(H3.REQUEST_CANCELLED);
  }

  async #run(head: RequestHead): Promise<void> {
    try {
      const route = this.#context.route(head.path);
      const refusal = route.authorize?.(this.#context.caller);
      this.refusal = refusal instanceof Promise ? await refusal : refusal;
      if (!this.#answerOver) {
        await this.#respond(await route.handle(this.#universalRequest(head, route)));
      }
    } catch (error) {
      // Connect's handlers answer failures of implementations themselves; this is something else.
      this.#context.report(error);
      if (!this.#answerOver) {
        this.#endAnswer(error);
        this.#stream.cancel(H3.INTERNAL_ERROR);
      }
    } finally {
      await this.#outliving;
      this.#context.ended();
    }
  }

  #universalRequest(head: RequestHead, route: Route): UniversalServerRequest {
    const { method, authority, path, header } = head;
    const length = Number(header.get("content-length"));
    if (length > maxTrustedLength && length <= route.readMaxBytes) {
      // Connect allocates as much as a request announces.
      header.delete("content-length");
    }
    return {
      httpVersion: "3.0",
      method,
      url: `https://${authority}${path}`,
      header,
      body: this.refusal === undefined ? this.#request : failing(this.refusal),
      signal: this.#abort.signal,
      contextValues: callerValues(this.#context.caller).set(callScopeKey, this),
    };
  }

  async #respond({ status, header, body, trailer }: UniversalServerResponse): Promise<void> {
    const answer = body?.[Symbol.asyncIterator]();
    if (this.#answerOver) {
      abandon(answer, this.#abort.signal.reason);
      return;
    }
    const fields = responseFields(status, header);
    if (answer === undefined) {
      this.#stream.sendHeaders(fields, { end: trailer === undefined });
    } else {
      this.#stream.sendHeaders(fields);
      if (!(await this.#sendBody(answer))) {
        return;
      }
    }
    if (trailer !== undefined) {
      // Handlers fill it while the body goes out.
      this.#stream.sendTrailers(fieldsFromHeaders(trailer));
    } else if (answer !== undefined) {
      this.#stream.end();
    }
    this.#endAnswer(callComplete);
    this.#stopReceiving();
  }

  /** False when the caller went away meanwhile. */
  async #sendBody(answer: AsyncIterator<Uint8Array>): Promise<boolean> {
    const sender = new BodySender(this.#stream, answer, this.#context.platform);
    this.#answer = answer;
    this.#sender = sender;
    const complete = await sender.run();
    this.#answer = undefined;
    this.#sender = undefined;
    return complete;
  }

  #callerGone(error: H3Error): void {
    if (this.#answerOver) {
      return;
    }
    const timeoutMs = this.#header && parseTimeoutMs(this.#header);
    const passedMs = this.#context.platform.now() - this.#arrivedMs;
    const remainingMs = timeoutMs === undefined ? undefined : timeoutMs - passedMs;
    const reason = abortReason(error, callerName(this.#context.caller), remainingMs);
    const answer = this.#answer;
    this.#endAnswer(reason);
    abandon(answer, reason);
  }

  #endAnswer(reason: unknown): void {
    this.#answerOver = true;
    this.#held?.end();
    this.#abort.abort(reason);
    this.#sender?.stop();
    this.#request.abort(reason);
  }

  /** A server that needs no more of a request says so with H3_NO_ERROR (RFC 9114 §4.1). */
  #stopReceiving(): void {
    if (!this.#requestOver) {
      this.#requestOver = true;
      this.#held?.end();
      this.#stream.stopReceiving(H3.NO_ERROR);
    }
  }
}

/** Runs a handler's `finally`, as soon as it yields or returns. */
function abandon(answer: AsyncIterator<Uint8Array> | undefined, reason: unknown): void {
  void answer?.throw?.(reason).catch(() => {});
  void answer?.return?.().catch(() => {});
}

/** gRPC, gRPC-Web and Connect's streams have envelopes around messages. */
function framingOf(contentType: string): Framing {
  return /^application\/(?:grpc|connect\+)/.test(contentType) ? "enveloped" : "whole";
}

function failing(error: ConnectError): AsyncIterable<Uint8Array> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) };
}

/** Content length up to which memory is allocated before the content is there. Bytes. */
const maxTrustedLength = 65_536;
