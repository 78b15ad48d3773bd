import { Code, ConnectError, type ContextValues } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import type { Platform } from "../base/platform.ts";
import { type CallScope, callComplete, callScopeKey } from "../rpc/call-scope.ts";
import { HeldContent } from "../rpc/held-content.ts";
import type { ReceiveBudget } from "../rpc/receive-budget.ts";
import { parseTimeoutMs } from "../rpc/timeout-field.ts";
import { ContentReader } from "./content-reader.ts";
import { MessageSender } from "./message-sender.ts";
import { metadataFromHeaders } from "./metadata.ts";
import type { BinaryEncoding } from "./negotiation.ts";
import type { RequestEvents, ServerStream } from "./server-stream.ts";
import { statusFromError, statusFromTrailer } from "./status.ts";

export interface ServedCallOptions {
  readonly handler: UniversalHandler;
  readonly header: Headers;
  readonly values: ContextValues;
  readonly encoding: BinaryEncoding;
  readonly platform: Pick<Platform, "now">;
  /** What all calls of the tunnel together may hold of messages that are not complete. */
  readonly budget: ReceiveBudget;
}

/**
 * A call through a tunnel and the handler that answers it. When the caller is gone, the handler's signal fires at once, and
 * what the handler yields after that goes nowhere.
 */
export class ServedCall implements RequestEvents, CallScope {
  readonly refusal: undefined;
  readonly #stream: ServerStream;
  readonly #options: ServedCallOptions;
  readonly #abort = new AbortController();
  readonly #request: ContentReader;
  readonly #held: HeldContent;
  readonly #arrivedMs: number;
  #sender: MessageSender | undefined;
  /** The answer is complete, or nobody is there to get it. */
  #answerOver = false;
  #outliving: Promise<void> | undefined;

  constructor(stream: ServerStream, options: ServedCallOptions) {
    this.#stream = stream;
    this.#options = options;
    this.#arrivedMs = options.platform.now();
    const request = new ContentReader({
      read: () => {
        const bytes = stream.read();
        if (bytes !== undefined) {
          this.#held.add(bytes);
        }
        return bytes;
      },
      abandon: () => this.#held.end(),
    });
    this.#request = request;
    // What is not read stays in the stream, and its window is full before long.
    const flow = { pause: () => request.pause(), resume: () => request.resume() };
    this.#held = new HeldContent(options.budget, flow, "enveloped");
  }

  /** Runs the handler. */
  async run(): Promise<void> {
    const { handler, header, values } = this.#options;
    header.set("content-type", "application/grpc+proto");
    try {
      const response = await handler({
        httpVersion: "2.0",
        method: "POST",
        url: `https://tunnel.invalid${handler.requestPath}`,
        header,
        body: this.#request,
        signal: this.#abort.signal,
        contextValues: values.set(callScopeKey, this),
      });
      await this.#respond(response);
    } catch (error) {
      // Connect's handlers answer failures of implementations themselves; this is metadata that cannot be sent.
      const reason = ConnectError.from(error, Code.Internal);
      this.#endAnswer(reason);
      this.#stream.abort(reason);
    } finally {
      await this.#outliving;
      this.#stream.released();
    }
  }

  // CallScope

  complete(): void {
    this.#abort.abort(callComplete);
  }

  outlives(work: Promise<unknown>): void {
    const done = (): void => {};
    this.#outliving = work.then(done, done);
  }

  // RequestEvents

  readable(): void {
    this.#request.wake();
  }

  writable(): void {
    this.#sender?.writable();
  }

  ended(): void {
    this.#request.end();
  }

  cancelled(reason: ConnectError): void {
    if (!this.#answerOver) {
      this.#endAnswer(this.#inTime(reason));
    }
  }

  async #respond({ status, header, body, trailer }: UniversalServerResponse): Promise<void> {
    if (body !== undefined) {
      this.#sender = new MessageSender(this.#stream, body);
    }
    if (this.#answerOver) {
      this.#sender?.stop(this.#abort.signal.reason);
      return;
    }
    const { encoding } = this.#options;
    this.#stream.sendHeaders(metadataFromHeaders(header ?? new Headers(), encoding));
    if (this.#sender !== undefined && !(await this.#sender.run())) {
      return;
    }
    // Handlers fill the trailers while the body goes out.
    if (status === 200 && trailer !== undefined) {
      const trailers = metadataFromHeaders(trailer, encoding);
      this.#stream.close(trailers, statusFromTrailer(trailer));
    } else {
      const error = new ConnectError(`the handler answered with HTTP ${status}`, Code.Internal);
      this.#stream.close(undefined, statusFromError(error));
    }
    this.#endAnswer(callComplete);
  }

  #endAnswer(reason: unknown): void {
    this.#answerOver = true;
    this.#abort.abort(reason);
    this.#sender?.stop(reason);
    this.#request.abort(reason);
    this.#held.end();
  }

  /**
   * The caller's clock began before the request arrived here, so it gives up before our own timer fires. Who does so this
   * shortly before the end is taken to have run out of time.
   */
  #inTime(reason: ConnectError): ConnectError {
    const timeoutMs = parseTimeoutMs(this.#options.header);
    const passedMs = this.#options.platform.now() - this.#arrivedMs;
    return reason.code === Code.Canceled &&
      timeoutMs !== undefined &&
      timeoutMs - passedMs <= deadlineToleranceMs
      ? new ConnectError("the caller's deadline has passed", Code.DeadlineExceeded)
      : reason;
  }
}

const deadlineToleranceMs = 100;
