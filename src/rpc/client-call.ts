import { Code, ConnectError, type ContextValues } from "@connectrpc/connect";
import { onAbort } from "../base/on-abort.ts";
import type { Platform, Timer } from "../base/platform.ts";
import { H3, type H3Error } from "../http3/h3-error.ts";
import type { MessageHandler, RequestStream } from "../http3/request-stream.ts";
import { BodySender } from "./body-sender.ts";
import { callerValues, type Peer } from "./caller.ts";
import type { Channel } from "./channel.ts";
import { callError } from "./connect-errors.ts";
import type { FieldSection } from "./fields.ts";
import { ReplayableBody } from "./replayable-body.ts";
import type { HttpSession, SessionWaiter } from "./session.ts";

/** What calls have in common. */
export interface ClientCallContext {
  readonly channel: Pick<Channel, "acquire" | "answered" | "forget" | "nameOf">;
  /** How long a call waits for a connection. Milliseconds. */
  readonly dialTimeoutMs: number;
  /** How often a request is sent at most, when the peer has provably not begun with it. Default 2. */
  readonly maxAttempts?: number | undefined;
  /** Who is at the other end of a session, where that is a peer. Default: nobody knows. */
  readonly peerOn?: ((session: HttpSession) => Peer | undefined) | undefined;
  /** Requests that may be sent as early data are. Default false. */
  readonly earlyData?: boolean | undefined;
  readonly platform: Pick<Platform, "clearTimer" | "now" | "setTimer" | "settled" | "soon">;
  /** Keeps the process alive until the returned function is called. */
  hold(): () => void;
}

/** What a call sends. */
export interface CallRequest {
  /** The header section. Of the caller's time, `waitedMs` have passed when it is sent. */
  fields(waitedMs: number): FieldSection;
  readonly content: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  /** The call is given up when it fires. */
  readonly signal: AbortSignal | undefined;
  /** The call is given up after this time, with DeadlineExceeded. Milliseconds, default never. */
  readonly timeoutMs?: number | undefined;
  /** It does no harm when it arrives twice: it may be sent as early data. Default false. */
  readonly early?: boolean | undefined;
  /** See {@link SessionWaiter.key}. Default none. */
  readonly key?: string | undefined;
  /** See {@link answeredByKey}. Default: nobody wants to know. */
  readonly answeredBy?: ((answering: ContextValues) => void) | undefined;
}

/** Gets what comes back, in this order. Nothing comes after `end` or `failed`, and one of the two always does. */
export interface ResponseHandler {
  /** What it throws ends the call. */
  head(fields: FieldSection, call: ClientCall): void;
  data(bytes: Uint8Array): void;
  /** What it throws ends the call. */
  trailers(fields: FieldSection, call: ClientCall): void;
  end(): void;
  /** With `drop`, what has arrived before is not wanted any more. */
  failed(error: ConnectError, options: { readonly drop: boolean }): void;
}

/**
 * One request and its response over HTTP/3. The call is over when the response is complete, when it failed, or when its
 * signal fired; only the failure of an untouched request is followed by another attempt.
 */
export class ClientCall implements MessageHandler, SessionWaiter {
  readonly #context: ClientCallContext;
  readonly #request: CallRequest;
  /** Content that leaves with the header section. */
  readonly #content: Uint8Array | undefined;
  /** Content that is sent bit by bit. */
  readonly #requestBody: ReplayableBody | undefined;
  readonly #response: ResponseHandler;
  readonly #onOver: () => void;
  #stopListening: () => void = () => {};
  /** "early": requested as early data, and a session is waited for still. */
  #state: "connecting" | "early" | "requested" | "answered" | "over" = "connecting";
  #attempts = 0;
  #retryTimer: Timer | undefined;
  #deadlineTimer: Timer | undefined;
  #startedMs = 0;
  #release: () => void = () => {};
  #session: HttpSession | undefined;
  #stream: RequestStream | undefined;
  #sender: BodySender | undefined;
  /** The peer refused the request while its body was sent. */
  #refused = false;
  /** What is under way was sent as early data. */
  #sentEarly = false;
  /** Why nothing of the response is wanted any more. */
  #unwanted: ConnectError | undefined;

  /** @param onOver called when the call is over */
  constructor(
    context: ClientCallContext,
    request: CallRequest,
    response: ResponseHandler,
    onOver: () => void,
  ) {
    const { content } = request;
    this.#context = context;
    this.#request = request;
    this.#response = response;
    this.#onOver = onOver;
    if (content instanceof Uint8Array && content.length <= maxContentAtOnce) {
      this.#content = content;
    } else if (content !== undefined) {
      // What goes early is one message, which the caller has anyway.
      const { early } = request;
      this.#requestBody =
        content instanceof Uint8Array
          ? new ReplayableBody(single(content), content.length)
          : new ReplayableBody(content, early === true ? Number.POSITIVE_INFINITY : undefined);
    }
  }

  /** Sends the request. */
  start(): void {
    const { signal, timeoutMs } = this.#request;
    const { platform } = this.#context;
    this.#startedMs = platform.now();
    this.#release = this.#context.hold();
    if (signal?.aborted === true) {
      this.#aborted();
      return;
    }
    this.#stopListening = onAbort(signal, () => this.#aborted());
    if (timeoutMs !== undefined) {
      this.#deadlineTimer = platform.setTimer(timeoutMs, () => {
        this.cancel(deadlinePassed());
      });
    }
    this.#connect();
  }

  /** Ends the call from this side. */
  cancel(error: unknown, options: { readonly drop: boolean } = { drop: true }): void {
    this.#giveUp(error, options);
  }

  /**
   * Throws when nothing of the response is wanted any more, also of one that is complete: for who has some of it left. That
   * is so when the signal has fired, the deadline has passed, or the call was cancelled.
   */
  throwIfUnwanted(): void {
    const { signal, timeoutMs } = this.#request;
    if (this.#unwanted === undefined) {
      if (signal?.aborted === true) {
        this.#unwanted = callError(abortError(signal), this.#peer);
      } else if (timeoutMs !== undefined && this.#passedMs() >= timeoutMs) {
        this.#unwanted = deadlinePassed();
      }
    }
    if (this.#unwanted !== undefined) {
      throw this.#unwanted;
    }
  }

  /** As {@link cancel}, after what has arrived: with the last message there is usually the end of the stream. */
  cancelSoon(error: unknown): void {
    this.#context.platform.soon(() => this.cancel(error));
  }

  /** What to throw where the response is none; `what` names the part. */
  malformed(what: string): ConnectError {
    return new ConnectError(`${this.#peer} sent a malformed response: ${what}`, Code.Internal);
  }

  /** Holds back what comes of the response. */
  pause(): void {
    this.#stream?.pause();
  }

  /** The response goes on, but not from within this call. */
  resumeSoon(): void {
    this.#context.platform.soon(() => this.#stream?.resume());
  }

  // SessionWaiter

  get key(): string | undefined {
    return this.#request.key;
  }

  early(session: HttpSession): void {
    const wanted = this.#request.early === true && this.#context.earlyData === true;
    if (wanted && this.#state === "connecting") {
      this.#sentEarly = true;
      this.#sendOn(session, "early");
    }
  }

  ready(session: HttpSession): void {
    if (this.#state === "early") {
      if (session === this.#session) {
        this.#state = "requested";
        this.#attempts = 1;
        return;
      }
      this.#leaveEarly();
    }
    if (this.#state !== "connecting") {
      return;
    }
    if (this.#requestBody?.replayable === false) {
      // Between the first attempt and this one more was read from the body than is kept.
      this.#giveUp(new ConnectError("request cannot be sent again", Code.Unavailable));
      return;
    }
    this.#attempts += 1;
    this.#sentEarly = false;
    this.#sendOn(session, "requested");
  }

  unreachable(error: unknown): void {
    this.#giveUp(error);
  }

  // MessageHandler

  headers(fields: FieldSection): void {
    if (this.#state !== "early" && this.#state !== "requested") {
      return;
    }
    const waiting = this.#state === "early";
    if (this.#sentEarly && isTooEarly(fields)) {
      this.#leaveEarly();
      if (!waiting) {
        this.#connect();
      }
      return;
    }
    if (waiting) {
      this.#context.channel.forget(this);
    }
    this.#state = "answered";
    this.#requestBody?.forget();
    if (this.#session !== undefined) {
      this.#context.channel.answered(this.#session);
      this.#tellPeer(this.#session);
    }
    try {
      this.#response.head(fields, this);
    } catch (error) {
      this.cancel(error);
    }
  }

  informational(): void {}

  data(bytes: Uint8Array): void {
    this.#response.data(bytes);
  }

  trailers(fields: FieldSection): void {
    try {
      this.#response.trailers(fields, this);
    } catch (error) {
      this.cancel(error);
    }
  }

  end(): void {
    if (this.#state === "answered") {
      this.#over();
      this.#response.end();
    }
  }

  failed(error: H3Error): void {
    if (this.#state === "early") {
      this.#leaveEarly();
    } else if (this.#state === "requested" && this.#maySendAgain(error)) {
      this.#sender?.stop();
      this.#sender = undefined;
      this.#stream = undefined;
      this.#state = "connecting";
      this.#connectAgain();
    } else {
      this.#giveUp(error);
    }
  }

  writable(): void {
    this.#sender?.writable();
  }

  stopped(code: bigint): void {
    if (code === H3.REQUEST_REJECTED && this.#state !== "answered") {
      // Its reset will follow, and with a second attempt the body is needed again (RFC 9114 §4.1.1).
      this.#refused = true;
      this.#sender?.stop();
      this.#sender = undefined;
    } else {
      // The peer has all that it needs of the request, and answers nonetheless (RFC 9114 §4.1).
      this.#stopSending();
    }
  }

  #tellPeer(session: HttpSession): void {
    const { answeredBy } = this.#request;
    const peer = answeredBy && this.#context.peerOn?.(session);
    if (peer !== undefined) {
      answeredBy?.(callerValues(peer));
    }
  }

  #sendOn(session: HttpSession, state: "early" | "requested"): void {
    let stream: RequestStream;
    try {
      const waitedMs = Math.max(0, Math.floor(this.#passedMs()));
      stream = session.request(this.#request.fields(waitedMs), this, {
        end: this.#requestBody === undefined,
        ...(this.#content === undefined ? {} : { content: this.#content }),
      });
    } catch (error) {
      // An interceptor made a request that HTTP/3 cannot send.
      this.#giveUp(error);
      return;
    }
    this.#refused = false;
    this.#state = state;
    this.#session = session;
    this.#stream = stream;
    if (this.#requestBody !== undefined) {
      const sender = new BodySender(stream, this.#requestBody.read(), this.#context.platform);
      this.#sender = sender;
      void this.#send(sender, stream);
    }
  }

  /** Nothing comes of what was sent as early data: the call is as if it had waited for the handshake. */
  #leaveEarly(): void {
    this.#sender?.stop();
    this.#sender = undefined;
    this.#stream?.cancel(H3.REQUEST_CANCELLED);
    this.#stream = undefined;
    this.#state = "connecting";
  }

  #connect(): void {
    const session = this.#context.channel.acquire(this, this.#context.dialTimeoutMs);
    if (session !== undefined) {
      this.ready(session);
    }
  }

  #connectAgain(): void {
    if (this.#session?.state === "open") {
      // The peer is busy, or it is going away and that news is still to come.
      this.#retryTimer = this.#context.platform.setTimer(retryDelayMs, () => this.#connect());
    } else {
      this.#connect();
    }
  }

  async #send(sender: BodySender, stream: RequestStream): Promise<void> {
    try {
      if (await sender.run()) {
        this.#sender = undefined;
        stream.end();
      }
    } catch (error) {
      if (sender === this.#sender) {
        this.#sender = undefined;
        this.#giveUp(ConnectError.from(error, Code.Internal), { drop: true });
      }
    }
  }

  #stopSending(error?: unknown): void {
    if (this.#sender !== undefined) {
      this.#sender.stop();
      this.#sender = undefined;
      this.#requestBody?.abandon(error);
    }
  }

  #aborted(): void {
    this.cancel(abortError(this.#request.signal));
  }

  /** Who is called, for messages. */
  get #peer(): string {
    return this.#context.channel.nameOf(this.#session);
  }

  /** Since the call was made. Milliseconds. */
  #passedMs(): number {
    return this.#context.platform.now() - this.#startedMs;
  }

  /** Only what the peer has provably not begun with, and not without end. */
  #maySendAgain(error: H3Error): boolean {
    return (
      error.unprocessed &&
      this.#attempts < (this.#context.maxAttempts ?? 2) &&
      (this.#requestBody?.replayable ?? true) &&
      callError(error, this.#peer).code === Code.Unavailable
    );
  }

  #giveUp(reason: unknown, { drop }: { readonly drop: boolean } = { drop: false }): void {
    if (this.#state !== "over") {
      const error = callError(reason, this.#peer);
      if (drop) {
        this.#unwanted = error;
      }
      this.#over(error);
      this.#response.failed(error, { drop });
    }
  }

  #over(error?: unknown): void {
    const sending = this.#sender !== undefined;
    this.#state = "over";
    this.#stopListening();
    this.#context.channel.forget(this);
    for (const timer of [this.#retryTimer, this.#deadlineTimer]) {
      if (timer !== undefined) {
        this.#context.platform.clearTimer(timer);
      }
    }
    if (error !== undefined || sending) {
      this.#stopSending(error);
      this.#stream?.cancel(H3.REQUEST_CANCELLED);
    }
    if (!sending && (error !== undefined || this.#refused)) {
      this.#requestBody?.abandon(error);
    }
    this.#release();
    this.#onOver();
  }
}

function abortError(signal: AbortSignal | undefined): ConnectError {
  return ConnectError.from(signal?.reason, Code.Canceled);
}

/** 425 (Too Early), RFC 8470 §5.2: the server does not run this before the handshake is done. */
function isTooEarly(fields: FieldSection): boolean {
  return fields.some(([name, value]) => name === ":status" && value === "425");
}

function deadlinePassed(): ConnectError {
  return new ConnectError("the operation timed out", Code.DeadlineExceeded);
}

/** Before a refused request is sent again on the same connection. */
const retryDelayMs = 20;

/** Longer content waits where it can be stopped, and not in the stream. Bytes. */
const maxContentAtOnce = 65_536;

async function* single(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
