import { Code, ConnectError } from "@connectrpc/connect";
import {
  type Compression,
  compressionNegotiate,
  createAsyncIterable,
} from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  contentTypeUnaryJson,
  errorToJsonBytes,
  parseTimeout,
  trailerMux,
} from "@connectrpc/connect/protocol-connect";
import { H3, type H3Error } from "../http3/h3-error.ts";
import type { MessageHandler, RequestStream } from "../http3/request-stream.ts";
import { BodySender } from "./body-sender.ts";
import { callComplete } from "./call-scope.ts";
import { callerName } from "./caller.ts";
import { abortReason, answerUnwanted } from "./connect-errors.ts";
import { ContentBuffer } from "./content-buffer.ts";
import { type FieldSection, responseFields } from "./fields.ts";
import { HeldContent } from "./held-content.ts";
import { messageTooLarge } from "./message-limits.ts";
import type { Route, ServerCallContext } from "./server-call.ts";
import { UnaryContext } from "./unary-context.ts";
import {
  contentTypes,
  type Format,
  type UnaryRequestHead,
  type UnaryRoute,
} from "./unary-route.ts";

interface Answer {
  readonly status: number;
  readonly content: Uint8Array;
}

/** Longer answers are sent as their stream takes them. Bytes. */
const maxAnswerAtOnce = 65_536;

/**
 * A unary call of the Connect protocol that goes the short way: as a {@link ServerCall} to the peer, to the byte, and to
 * the handler.
 */
export class UnaryServerCall implements MessageHandler {
  readonly #context: ServerCallContext;
  readonly #stream: RequestStream;
  readonly #head: UnaryRequestHead;
  readonly #route: Route;
  readonly #unary: UnaryRoute;
  #sender: BodySender | undefined;
  readonly #content = new ContentBuffer();
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
    this.#held = new HeldContent(context.budget, stream, "whole");
    this.#handlerContext = new UnaryContext(unary.method, head, context);
  }

  // MessageHandler

  headers(): void {
    if (!this.#context.admit()) {
      this.#answerOver = true;
      this.#stream.cancel(H3.REQUEST_REJECTED);
      return;
    }
    const { maxTimeoutMs, readMaxBytes } = this.#unary.options;
    const { timeoutMs, error } = parseTimeout(this.#head.timeout, maxTimeoutMs);
    this.#handlerContext.arrived(timeoutMs);
    if (error !== undefined) {
      this.#fail(error);
      return;
    }
    this.#authorize();
    if (!this.#answering && this.#head.contentLength > readMaxBytes) {
      this.#fail(messageTooLarge(readMaxBytes, this.#head.contentLength));
    }
  }

  informational(): void {}

  data(bytes: Uint8Array): void {
    if (this.#answering) {
      return;
    }
    const { readMaxBytes } = this.#unary.options;
    this.#content.push(bytes);
    if (this.#content.length > readMaxBytes) {
      this.#fail(messageTooLarge(readMaxBytes));
    } else {
      this.#held.add(bytes);
    }
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
    const { format } = this.#head;
    const request = this.#content.take();
    this.#held.end();
    try {
      const content = await this.#unary.invoke(request, format, this.#handlerContext.forHandler());
      this.#handlerContext.end(callComplete);
      void this.#answer(() => ({ status: 200, content }));
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    this.#answering = true;
    this.#dropRequest();
    this.#handlerContext.end(error);
    void this.#answer(() => this.#failure(error));
  }

  #failure(error: unknown): Answer {
    const failure =
      error instanceof ConnectError
        ? error
        : new ConnectError("internal error", Code.Internal, undefined, undefined, error);
    const header = this.#handlerContext.responseHeader;
    header.set("content-type", contentTypeUnaryJson);
    failure.metadata.forEach((value, name) => {
      header.set(name, value);
    });
    const content = errorToJsonBytes(failure, this.#unary.options.jsonOptions);
    return { status: codeToHttpStatus(failure.code), content };
  }

  /** The last step of a call that was not given up before; never rejects. */
  async #answer(make: () => Answer): Promise<void> {
    try {
      if (!this.#answerOver) {
        const { status, content } = make();
        const compression = this.#compressionOf(content);
        if (compression === undefined) {
          await this.#send(status, content);
        } else {
          const compressed = await compression.compress(content);
          this.#handlerContext.responseHeader.set("content-encoding", compression.name);
          await this.#send(status, compressed);
        }
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

  #compressionOf(content: Uint8Array): Compression | undefined {
    const { acceptCompression, compressMinBytes } = this.#unary.options;
    if (content.length < compressMinBytes || this.#head.acceptEncoding === null) {
      return undefined;
    }
    const { acceptEncoding } = this.#head;
    const { response } = compressionNegotiate(acceptCompression, null, acceptEncoding, "");
    return response ?? undefined;
  }

  async #send(status: number, content: Uint8Array): Promise<void> {
    if (this.#answerOver) {
      return;
    }
    const fields = this.#responseFields(status, content.length);
    if (content.length <= maxAnswerAtOnce) {
      this.#stream.sendHeaders(fields, { content, end: true });
    } else {
      this.#stream.sendHeaders(fields);
      const pieces = createAsyncIterable([content])[Symbol.asyncIterator]();
      this.#sender = new BodySender(this.#stream, pieces, this.#context.platform);
      if (!(await this.#sender.run())) {
        return;
      }
      this.#stream.end();
    }
    this.#end(callComplete);
    if (!this.#requestOver) {
      // A server that needs no more of a request says so with H3_NO_ERROR (RFC 9114 §4.1).
      this.#requestOver = true;
      this.#stream.stopReceiving(H3.NO_ERROR);
    }
  }

  #responseFields(status: number, contentLength: number): FieldSection {
    const { format } = this.#head;
    if (this.#handlerContext.isPlain) {
      return plainResponse(format, contentLength);
    }
    const header = trailerMux(
      this.#handlerContext.responseHeader,
      this.#handlerContext.responseTrailer,
    );
    header.set("content-length", String(contentLength));
    return responseFields(status, header);
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

/** The header section of an answer that nobody added anything to; the same one for the same length, where that is short. */
function plainResponse(format: Format, contentLength: number): FieldSection {
  const known = plainResponses[format];
  let fields = known.get(contentLength);
  if (fields === undefined) {
    fields = [
      [":status", "200"],
      ["content-length", String(contentLength)],
      ["content-type", contentTypes[format]],
    ];
    if (contentLength < maxKnownLength) {
      // Whoever meets a frozen one again need not look at it again.
      known.set(contentLength, Object.freeze(fields));
    }
  }
  return fields;
}

const maxKnownLength = 1_024;
const plainResponses: Readonly<Record<Format, Map<number, FieldSection>>> = {
  binary: new Map(),
  json: new Map(),
};
