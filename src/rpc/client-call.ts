import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalClientRequest, UniversalClientResponse } from "@connectrpc/connect/protocol";
import { type Deferred, deferred } from "../base/deferred.ts";
import type { Platform, Timer } from "../base/platform.ts";
import { H3, type H3Error } from "../http3/h3-error.ts";
import type { MessageHandler, RequestStream } from "../http3/request-stream.ts";
import { BodyQueue } from "./body-queue.ts";
import { BodySender } from "./body-sender.ts";
import type { Channel } from "./channel.ts";
import { callError } from "./connect-errors.ts";
import { type FieldSection, headersFromFields, parseStatus, requestFields } from "./fields.ts";
import { ReplayableBody } from "./replayable-body.ts";
import type { HttpSession, SessionWaiter } from "./session.ts";
import { reduceTimeout } from "./timeout-field.ts";

/** What calls have in common. */
export interface ClientCallContext {
  readonly channel: Pick<Channel, "acquire" | "answered" | "forget" | "peer">;
  /** How long a call waits for a connection. Milliseconds. */
  readonly dialTimeoutMs: number;
  readonly platform: Pick<Platform, "clearTimer" | "now" | "setTimer" | "soon">;
  /** Keeps the process alive until the returned function is called. */
  hold(): () => void;
}

/**
 * One request and its response over HTTP/3. The call is over when the response is complete, when it failed, or when its
 * signal fired; only the failure of an untouched request is followed by a second attempt.
 */
export class ClientCall implements MessageHandler, SessionWaiter {
  readonly #context: ClientCallContext;
  readonly #request: UniversalClientRequest;
  readonly #requestBody: ReplayableBody | undefined;
  /** Dropped once it is settled: it would hold the response's reader, see {@link abandonedReaders}. */
  #response: Deferred<UniversalClientResponse> | undefined = deferred();
  readonly #trailer = new Headers();
  readonly #onAbort = (): void => {
    const reason: unknown = this.#request.signal?.reason;
    this.#giveUp(ConnectError.from(reason, Code.Canceled), { drop: true });
  };
  #state: "connecting" | "requested" | "answered" | "over" = "connecting";
  #attempts = 0;
  #retryTimer: Timer | undefined;
  #startedMs = 0;
  #release: () => void = () => {};
  #onOver: (() => void) | undefined;
  #session: HttpSession | undefined;
  #stream: RequestStream | undefined;
  #sender: BodySender | undefined;
  #responseBody: BodyQueue | undefined;

  constructor(context: ClientCallContext, request: UniversalClientRequest) {
    this.#context = context;
    this.#request = request;
    this.#requestBody = request.body === undefined ? undefined : new ReplayableBody(request.body);
  }

  /** Sends the request. Resolves with the head of the response; its body and trailers follow. */
  start(onOver?: () => void): Promise<UniversalClientResponse> {
    const { signal } = this.#request;
    const response = this.#response?.promise ?? Promise.reject(new TypeError("call was started"));
    this.#onOver = onOver;
    this.#startedMs = this.#context.platform.now();
    this.#release = this.#context.hold();
    if (signal?.aborted === true) {
      this.#onAbort();
    } else {
      signal?.addEventListener("abort", this.#onAbort);
      this.#connect();
    }
    return response;
  }

  /** Ends the call from this side. */
  cancel(error: unknown): void {
    this.#giveUp(error, { drop: true });
  }

  // SessionWaiter

  ready(session: HttpSession): void {
    if (this.#state !== "connecting") {
      return;
    }
    if (this.#requestBody?.replayable === false) {
      // Between the first attempt and this one more was read from the body than is kept.
      this.#giveUp(new ConnectError("request cannot be sent again", Code.Unavailable));
      return;
    }
    let stream: RequestStream;
    try {
      stream = session.request(this.#fields(), this, { end: this.#requestBody === undefined });
    } catch (error) {
      // An interceptor made a request that HTTP/3 cannot send.
      this.#giveUp(error);
      return;
    }
    this.#attempts += 1;
    this.#state = "requested";
    this.#session = session;
    this.#stream = stream;
    if (this.#requestBody !== undefined) {
      const sender = new BodySender(stream, this.#requestBody.read(), this.#context.platform);
      this.#sender = sender;
      void this.#send(sender, stream);
    }
  }

  unreachable(error: unknown): void {
    this.#giveUp(error);
  }

  // MessageHandler

  headers(fields: FieldSection): void {
    const stream = this.#stream;
    if (this.#state !== "requested" || stream === undefined) {
      return;
    }
    const status = parseStatus(fields);
    const header = headersFromFields(fields);
    if (status === undefined || header === undefined) {
      this.#malformed("the header section of the response");
      return;
    }
    this.#state = "answered";
    this.#requestBody?.forget();
    if (this.#session !== undefined) {
      this.#context.channel.answered(this.#session);
    }
    const queue = new BodyQueue({
      pause: () => stream.pause(),
      resumeSoon: () => this.#context.platform.soon(() => stream.resume()),
      abandon: () => this.#giveUp(new ConnectError("response was left unread", Code.Canceled)),
    });
    this.#responseBody = queue;
    const body = readerOf(queue);
    abandonedReaders.register(body, this, this);
    this.#response?.resolve({ status, header, body, trailer: this.#trailer });
    this.#response = undefined;
  }

  informational(): void {}

  data(bytes: Uint8Array): void {
    this.#responseBody?.push(bytes);
  }

  trailers(fields: FieldSection): void {
    if (headersFromFields(fields, this.#trailer) === undefined) {
      this.#malformed("the trailer section of the response");
    }
  }

  end(): void {
    if (this.#state === "answered") {
      this.#over();
      this.#responseBody?.end();
    }
  }

  failed(error: H3Error): void {
    if (this.#state === "requested" && this.#maySendAgain(error)) {
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

  stopped(): void {
    // The peer has all that it needs of the request, and answers nonetheless (RFC 9114 §4.1).
    this.#stopSending();
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

  #fields(): FieldSection {
    const { method, url, header } = this.#request;
    const fields = requestFields(method, url, header);
    const waitedMs = Math.floor(this.#context.platform.now() - this.#startedMs);
    // The peer's clock for the deadline begins when the request arrives.
    return waitedMs > 0 ? fields.map((field) => reduceTimeout(field, waitedMs)) : fields;
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

  /** Once, and only what the peer has provably not begun with. */
  #maySendAgain(error: H3Error): boolean {
    return (
      error.unprocessed &&
      this.#attempts === 1 &&
      (this.#requestBody?.replayable ?? true) &&
      callError(error, this.#context.channel.peer).code === Code.Unavailable
    );
  }

  #malformed(what: string): void {
    this.#giveUp(
      new ConnectError(
        `${this.#context.channel.peer} sent a malformed response: ${what}`,
        Code.Internal,
      ),
    );
  }

  /** With `drop`, what has arrived and was not read is not wanted any more. */
  #giveUp(reason: unknown, options?: { readonly drop: boolean }): void {
    if (this.#state === "over") {
      return;
    }
    const error = callError(reason, this.#context.channel.peer);
    this.#over(error);
    if (this.#responseBody === undefined) {
      this.#response?.reject(error);
      this.#response = undefined;
    } else if (options?.drop === true) {
      this.#responseBody.abort(error);
    } else {
      this.#responseBody.fail(error);
    }
  }

  #over(error?: unknown): void {
    const sending = this.#sender !== undefined;
    this.#state = "over";
    this.#request.signal?.removeEventListener("abort", this.#onAbort);
    this.#context.channel.forget(this);
    if (this.#retryTimer !== undefined) {
      this.#context.platform.clearTimer(this.#retryTimer);
    }
    abandonedReaders.unregister(this);
    if (error !== undefined || sending) {
      this.#stopSending(error);
      this.#stream?.cancel(H3.REQUEST_CANCELLED);
    }
    if (!sending && error !== undefined) {
      this.#requestBody?.abandon(error);
    }
    this.#release();
    this.#onOver?.();
  }
}

/** Before a refused request is sent again on the same connection. */
const retryDelayMs = 20;

/** The reader's end of a queue, apart from it so that it can be seen when nobody holds it any more. */
function readerOf(queue: BodyQueue): AsyncIterableIterator<Uint8Array> {
  return {
    next: () => queue.next(),
    return: () => queue.return(),
    throw: (error: unknown) => queue.throw(error),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/**
 * Clients of Connect do not say when a `for await` over responses is left early: the iterator is just dropped. Its call
 * would stay open, and its peer busy, for as long as the connection. So the call is cancelled when the garbage collector
 * finds that nobody can read its response any more.
 */
const abandonedReaders = new FinalizationRegistry<ClientCall>((call) => {
  call.cancel(new ConnectError("nobody reads the response", Code.Canceled));
});
