import { H3 } from "../http3/h3-error.ts";
import type { MessageHandler, RequestStream } from "../http3/request-stream.ts";
import type { FieldSection } from "./fields.ts";

/** What is known of the handshake of a connection. */
export interface Handshake {
  /** It is not done: what arrives may be a replay. */
  readonly early: boolean;
  /** Resolves with true when it is done, with false when it never will be. */
  readonly handshakeDone: Promise<boolean>;
}

/**
 * A request that has come as early data and may do something: it waits for the end of the handshake, which a replay never
 * gets to (RFC 8470 §3). Nothing of its content is read until then.
 */
export class EarlyRequest implements MessageHandler {
  readonly #stream: RequestStream;
  #over = false;

  /** @param take begins with the request, as if it had come just then */
  constructor(
    stream: RequestStream,
    fields: FieldSection,
    { handshakeDone }: Handshake,
    take: (stream: RequestStream, fields: FieldSection) => MessageHandler,
  ) {
    this.#stream = stream;
    stream.pause();
    void handshakeDone.then((isDone) => {
      if (isDone && !this.#over) {
        stream.handler = take(stream, fields);
        stream.handler.headers(fields);
        stream.resume();
      }
    });
  }

  failed(): void {
    this.#over = true;
  }

  /** The caller has given up. */
  stopped(): void {
    this.#over = true;
    this.#stream.cancel(H3.REQUEST_CANCELLED);
  }

  headers(): void {}
  informational(): void {}
  data(): void {}
  trailers(): void {}
  end(): void {}
  writable(): void {}
}
