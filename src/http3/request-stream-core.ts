import type { ConnectionContext } from "./connection-context.ts";
import { errorCodeName, H3, H3Error, streamError } from "./h3-error.ts";
import { MessageReceiver } from "./message-receiver.ts";
import { MessageSender } from "./message-sender.ts";
import type { SectionStream } from "./peer-guard.ts";
import type { FieldSection } from "./qpack/field.ts";
import type { DecodeOutcome } from "./qpack/qpack-decoder.ts";
import type { MessageHandler, RequestStream, SendHeadersOptions } from "./request-stream.ts";
import type { StreamCore, StreamPort } from "./stream-port.ts";

/**
 * A request and its response (RFC 9114 §4.1) without I/O: the stream's bytes and events come in by {@link StreamCore} and
 * leave by its port; the messages by {@link RequestStream} and {@link MessageHandler}.
 */
export class RequestStreamCore implements RequestStream, StreamCore, SectionStream {
  handler: MessageHandler;
  sectionDeadline: SectionStream["sectionDeadline"];
  /** We sent the request. */
  readonly outgoing: boolean;
  readonly #context: ConnectionContext;
  readonly #sender: MessageSender;
  readonly #receiver: MessageReceiver;
  #port: StreamPort | undefined;
  /** There is a handler: of ours always, of the peer's requests once their head has arrived. */
  #accepted: boolean;
  #givenUp = false;
  #answered = false;
  /** Neither half will carry more. */
  #ended = false;
  /** Nor is anything that was sent on its way. */
  #gone = false;
  /** What `stopReceiving` said while there was no stream. */
  #stopCode: bigint | undefined;

  /** A request of ours, with the method of its header section; `open` gives it its stream. */
  static outgoing(
    context: ConnectionContext,
    handler: MessageHandler,
    method: string,
  ): RequestStreamCore {
    return new RequestStreamCore(context, handler, method);
  }

  /** A stream that the peer opened for a request. */
  static incoming(context: ConnectionContext, port: StreamPort): RequestStreamCore {
    const stream = new RequestStreamCore(context, undefined, "");
    stream.open(port);
    context.guard.sectionBegan(stream);
    return stream;
  }

  private constructor(
    context: ConnectionContext,
    handler: MessageHandler | undefined,
    method: string,
  ) {
    this.#context = context;
    this.handler = handler ?? nobody;
    this.outgoing = handler !== undefined;
    this.#accepted = this.outgoing;
    const tooLarge = (error: H3Error) => {
      context.soon(() => this.#fail(error, H3.REQUEST_CANCELLED));
    };
    if (this.outgoing) {
      this.#sender = new MessageSender(context, "request", tooLarge);
      this.#receiver = new MessageReceiver(context, this, "response", method);
    } else {
      this.#sender = new MessageSender(context, "response", tooLarge);
      this.#receiver = new MessageReceiver(context, this, "request");
    }
  }

  get id(): number {
    return this.#port?.id ?? -1;
  }

  /** The stream is there: what was sent before leaves now. */
  open(port: StreamPort): void {
    this.#port = port;
    if (this.#stopCode !== undefined) {
      port.stop(this.#stopCode);
    }
    this.#sender.open(port);
    if (port.backlog === 0 && this.#sender.takeStalled()) {
      this.#context.soon(() => this.#tellWritable());
    }
    this.#update();
  }

  // RequestStream

  get copiesData(): boolean {
    return true;
  }

  sendHeaders(fields: FieldSection, options?: SendHeadersOptions): void {
    this.#sender.headers(fields, options);
    this.#update();
  }

  sendData(bytes: Uint8Array, options?: { end?: boolean }): boolean {
    const written = this.#sender.data(bytes, options?.end ?? false);
    this.#update();
    return written;
  }

  sendTrailers(fields: FieldSection): void {
    this.#sender.trailers(fields);
    this.#update();
  }

  end(): void {
    this.#sender.end();
    this.#update();
  }

  pause(): void {
    this.#receiver.pause();
  }

  resume(): void {
    try {
      this.#receiver.resume();
    } catch (error) {
      this.#fault(error);
    }
    this.#port?.pull();
  }

  stopReceiving(code: bigint): void {
    this.#stopCode = code;
    this.#stopReceiving(code);
    this.#update();
  }

  cancel(code: bigint): void {
    this.handler = nobody;
    this.#stopReceiving(code);
    this.#sender.abandon(code);
    this.#update();
  }

  // StreamCore

  get wantsBytes(): boolean {
    return this.#receiver.wantsBytes;
  }

  get readLimit(): number {
    return this.#receiver.readLimit;
  }

  receive(bytes: Uint8Array): void {
    try {
      this.#receiver.receive(bytes);
    } catch (error) {
      this.#fault(error);
    }
  }

  finished(): void {
    if (this.#receiver.open) {
      try {
        this.#receiver.finished();
      } catch (error) {
        this.#fault(error);
      }
      this.#update();
    }
  }

  wasReset(code: bigint): void {
    if (!this.#receiver.open) {
      return;
    }
    this.#countIfGivenUp();
    this.#receiver.end();
    const error = new H3Error(code, `the peer reset the stream: ${errorCodeName(code)}`, {
      scope: "stream",
      origin: "peer",
      unprocessed: this.outgoing && code === H3.REQUEST_REJECTED,
    });
    this.#fail(error, this.#accepted ? H3.REQUEST_CANCELLED : H3.REQUEST_REJECTED);
  }

  wasStopped(code: bigint): void {
    this.#countIfGivenUp();
    const hadMore = !this.#sender.finished;
    this.#sender.close();
    if (!this.#accepted) {
      this.#stopReceiving(H3.REQUEST_REJECTED);
    } else if (hadMore && !this.#context.over) {
      try {
        this.handler.stopped(code);
      } catch (error) {
        this.#fault(error);
      }
    }
    this.#update();
  }

  writable(): void {
    if (this.#sender.takeStalled()) {
      this.#tellWritable();
    }
    this.#update();
  }

  acknowledged(): void {
    this.#sender.close();
    this.#update();
  }

  lastCall(): void {
    // A request that was cut off is of no use: nobody is there to get its answer.
    if (this.outgoing) {
      try {
        this.#receiver.holdNothingBack();
      } catch (error) {
        this.#fault(error);
      }
    }
  }

  // What its connection and its receiver tell it.

  /** The head of the message was read. */
  headArrived(fields: FieldSection): void {
    if (!this.#accepted) {
      this.handler = this.#context.handlerFor(this, fields);
      this.#accepted = true;
    }
  }

  /** The section that was blocked can be read, or is too large. */
  unblocked(outcome: DecodeOutcome): void {
    try {
      this.#receiver.unblocked(outcome);
    } catch (error) {
      this.#fault(error);
    }
    this.#port?.pull();
  }

  /** A section took longer than `headersTimeoutMs` to arrive. */
  sectionTimedOut(): void {
    const { headersTimeoutMs } = this.#context.limits;
    // Nobody has seen a request without its head (RFC 9114 §4.1.1).
    const code = this.#accepted ? H3.REQUEST_CANCELLED : H3.REQUEST_REJECTED;
    this.#fail(streamError(code, `field section not complete after ${headersTimeoutMs} ms`), code);
  }

  /** The peer will not process this request (RFC 9114 §5.2), or there is no connection to send it on. */
  unprocessed(error: H3Error): void {
    this.#fail(error, H3.REQUEST_CANCELLED);
  }

  /** The connection is gone. */
  connectionClosed(error: H3Error): void {
    this.#receiver.end();
    this.#sender.close();
    if (!this.#ended) {
      this.#ended = true;
      this.#tellFailure(error);
    }
  }

  /** What went wrong while a message was received, or inside of its handler. */
  #fault(error: unknown): void {
    const fault = error instanceof H3Error ? error : handlerError(error);
    if (fault.scope === "connection") {
      this.#context.fail(fault);
    } else {
      this.#fail(fault, fault.code);
    }
  }

  /** Ends what is open of the stream with `code`, and tells the handler why. */
  #fail(error: H3Error, code: bigint): void {
    if (!this.#ended) {
      this.#stopReceiving(code);
      if (!this.#sender.finished) {
        this.#sender.abandon(code);
      }
      this.#update();
      this.#tellFailure(error);
    }
  }

  #stopReceiving(code: bigint): void {
    if (this.#receiver.open) {
      this.#receiver.end();
      this.#port?.stop(code);
    }
  }

  #countIfGivenUp(): void {
    if (this.outgoing || this.#givenUp || this.#sender.ended) {
      return;
    }
    this.#givenUp = true;
    try {
      this.#context.guard.requestGivenUp();
    } catch (error) {
      this.#fault(error);
    }
  }

  /** Notices what has come to its end. */
  #update(): void {
    if (!this.outgoing && !this.#answered && this.#sender.ended) {
      this.#answered = true;
      this.#context.guard.requestAnswered();
    }
    if (!this.#ended && !this.#receiver.open && this.#sender.finished) {
      this.#ended = true;
      this.#context.requestEnded(this);
    }
    if (this.#ended && !this.#gone && this.#sender.over) {
      this.#gone = true;
      this.#context.requestGone(this);
    }
  }

  #tellWritable(): void {
    if (this.#context.over) {
      return;
    }
    try {
      this.handler.writable();
    } catch (error) {
      this.#fault(error);
    }
  }

  #tellFailure(error: H3Error): void {
    const handler = this.handler;
    this.handler = nobody;
    try {
      handler.failed(error);
    } catch (bug) {
      // The other streams shall not suffer from it, but it shall not be lost either.
      this.#context.soon(() => {
        throw bug;
      });
    }
  }
}

const nobody: MessageHandler = {
  headers() {},
  informational() {},
  data() {},
  trailers() {},
  end() {},
  failed() {},
  writable() {},
  stopped() {},
};

function handlerError(cause: unknown): H3Error {
  return new H3Error(H3.INTERNAL_ERROR, "the handler of the message failed", {
    scope: "stream",
    origin: "local",
    cause,
  });
}
