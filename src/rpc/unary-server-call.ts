import { Code, ConnectError } from "@connectrpc/connect";
import { createAsyncIterable } from "@connectrpc/connect/protocol";
import { H3, type H3Error } from "../http3/h3-error.ts";
import type { MessageHandler, RequestStream } from "../http3/request-stream.ts";
import { BodySender } from "./body-sender.ts";
import { callComplete } from "./call-scope.ts";
import { callerName } from "./caller.ts";
import { abortReason, answerUnwanted } from "./connect-errors.ts";
import { HeldContent } from "./held-content.ts";
import type { Route, ServerCallContext } from "./server-call.ts";
import { UnaryContext } from "./unary-context.ts";
import type { AnsweredCall, UnaryAnswer, UnaryContent } from "./unary-protocol.ts";
import type { UnaryRequestHead, UnaryRoute } from "./unary-route.ts";

/** Longer answers are sent as their stream takes them. Bytes. */
const maxAnswerAtOnce = 65_536;

/**
 * A unary call of the Connect protocol or gRPC that goes the short way: as a {@link ServerCall} to the peer, to the byte,
 * and to the handler.
 */
export class UnaryServerCall implements MessageHandler {
  readonly #context: ServerCallContext;
  readonly #stream: RequestStream;
  readonly #head: UnaryRequestHead;
  readonly #route: Route;
  readonly #unary: UnaryRoute;
  #sender: BodySender | undefined;
  readonly #content: UnaryContent;
  readonly #held: HeldContent;
  readonly #handlerContext: UnaryContext;
  /** May the peer call this? Asked for while the request arrives. */
  #authorized = true;
  #requestOver = false;
  /** The handler runs, or there is an answer without it. */
  #answering = false;
  /** The answer is complete, or nobody is there to get it. */
  #answerOver = false;

  constructor(
    context: ServerCallContext,
    stream: RequestStream,
    head: UnaryRequestHead,
    route: Route,
    unary: UnaryRoute,
  ) {
    this.#context = context;
    this.#stream = stream;
    this.#head = head;
    this.#route = route;
    this.#unary = unary;
    this.#content = head.protocol.content(unary.options.readMaxBytes);
    this.#held = new HeldContent(context.budget, stream, "whole");
    this.#handlerContext = new UnaryContext(unary, head, context);
  }

  // MessageHandler

  headers(): void {
    if (!this.#context.admit()) {
      this.#answerOver = true;
      this.#stream.cancel(H3.REQUEST_REJECTED);
      return;
    }
    const { protocol, timeout, contentLength } = this.#head;
    const { timeoutMs, error } = protocol.parseTimeout(timeout, this.#unary.options.maxTimeoutMs);
    this.#handlerContext.arrived(timeoutMs);
    if (error !== undefined) {
      this.#fail(error);
      return;
    }
    this.#authorize();
    if (!this.#answering) {
      this.#take(() => this.#content.expect(contentLength));
    }
  }

  informational(): void {}

  data(bytes: Uint8Array): void {
    if (this.#answering) {
      return;
    }
    this.#take(() => {
      // First, for what makes a message complete may be given back with that.
      this.#held.add(bytes);
      this.#content.push(bytes);
    });
  }

  trailers(): void {
    // No protocol of Connect puts anything there.
  }

  end(): void {
    this.#requestOver = true;
    this.#runWhenReady();
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

  #take(content: () => void): void {
    try {
      content();
    } catch (error) {
      this.#fail(error);
    }
  }

  #authorize(): void {
    const outcome = this.#route.authorize?.(this.#context.caller);
    if (outcome instanceof Promise) {
      this.#authorized = false;
      void outcome.then((refusal) => {
        this.#authorized = true;
        if (refusal === undefined) {
          this.#runWhenReady();
        } else if (!this.#answering && !this.#answerOver) {
          this.#fail(refusal);
        }
      });
    } else if (outcome !== undefined) {
      this.#fail(outcome);
    }
  }

  #runWhenReady(): void {
    if (this.#authorized && this.#requestOver && !this.#answerOver && !this.#answering) {
      this.#answering = true;
      void this.#run();
    }
  }

  async #run(): Promise<void> {
    const { format, protocol } = this.#head;
    this.#held.end();
    try {
      const request = this.#content.take();
      const message = await this.#unary.invoke(request, format, this.#handlerContext.forHandler());
      this.#handlerContext.end(callComplete);
      void this.#answer(() => protocol.answer(message, this.#call));
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#answering = true;
    this.#dropRequest();
    this.#handlerContext.end(error);
    const failure =
      error instanceof ConnectError
        ? error
        : new ConnectError("internal error", Code.Internal, undefined, undefined, error);
    void this.#answer(() => this.#head.protocol.failure(failure, this.#call));
  }

  get #call(): AnsweredCall {
    return { head: this.#head, route: this.#unary, context: this.#handlerContext };
  }

  /** The last step of a call that was not given up before; never rejects. */
  async #answer(make: () => UnaryAnswer | Promise<UnaryAnswer>): Promise<void> {
    try {
      if (!this.#answerOver) {
        const answer = make();
        await this.#send(answer instanceof Promise ? await answer : answer);
      }
    } catch (error) {
      this.#context.report(error);
      if (!this.#answerOver) {
        this.#end(error);
        this.#stream.cancel(H3.INTERNAL_ERROR);
      }
    } finally {
      this.#context.ended();
    }
  }

  async #send({ fields, content, trailers }: UnaryAnswer): Promise<void> {
    if (this.#answerOver) {
      return;
    }
    const end = trailers === undefined;
    if (content === undefined) {
      this.#stream.sendHeaders(fields, { end });
    } else if (content.length <= maxAnswerAtOnce) {
      this.#stream.sendHeaders(fields, { content, end });
    } else {
      this.#stream.sendHeaders(fields);
      const pieces = createAsyncIterable([content])[Symbol.asyncIterator]();
      this.#sender = new BodySender(this.#stream, pieces, this.#context.platform);
      if (!(await this.#sender.run())) {
        return;
      }
      if (end) {
        this.#stream.end();
      }
    }
    if (!end) {
      this.#stream.sendTrailers(trailers);
    }
    this.#end(callComplete);
    if (!this.#requestOver) {
      // A server that needs no more of a request says so with H3_NO_ERROR (RFC 9114 §4.1).
      this.#requestOver = true;
      this.#stream.stopReceiving(H3.NO_ERROR);
    }
  }

  #callerGone(error: H3Error): void {
    if (this.#answerOver) {
      return;
    }
    const caller = callerName(this.#context.caller);
    this.#end(abortReason(error, caller, this.#handlerContext.remainingMs()));
    if (!this.#answering) {
      this.#context.ended();
    }
  }

  /** No more of an answer. */
  #end(reason: unknown): void {
    this.#answerOver = true;
    this.#dropRequest();
    this.#handlerContext.end(reason);
    this.#sender?.stop();
  }

  #dropRequest(): void {
    this.#content.clear();
    this.#held.end();
  }
}
