// One request and its response, seen from either side. The client sends the request and its handler gets the response;
// on a server it is the other way round.

import type { FieldSection } from "./field-section.ts";
import type { H3Error } from "./h3-error.ts";

/**
 * Gets what the peer sends, in the order of the wire. After `end` or `failed` nothing more comes.
 * For a client: `informational`*, `headers`, `data`*, `trailers`?, `end`. For a server: `headers`, `data`*, `trailers`?, `end`.
 */
export interface MessageHandler {
  /** The header section: of the request on a server, of the final response on a client. Already checked (RFC 9114 §4.3). */
  headers(fields: FieldSection): void;
  /** An interim response (1xx); clients only. */
  informational(fields: FieldSection): void;
  /** A piece of content; the handler owns `bytes`. Not called between `pause` and `resume`. */
  data(bytes: Uint8Array): void;
  trailers(fields: FieldSection): void;
  /** The message is complete. */
  end(): void;
  /**
   * The message will not be completed: the peer reset the stream, it was malformed, or the connection is gone. What we
   * send is abandoned too.
   */
  failed(error: H3Error): void;
  /** After `sendData` returned false: there is room again. */
  writable(): void;
  /** The peer does not want the rest of what we send (STOP_SENDING); receiving may go on (RFC 9114 §4.1.1). */
  stopped(code: bigint): void;
}

export interface RequestStream {
  handler: MessageHandler;
  /** The QUIC stream id. */
  readonly id: number;
  /** The header section; on a server also interim ones. With `end`, the message has no content and no trailers. */
  sendHeaders(fields: FieldSection, options?: { end?: boolean }): void;
  /**
   * Content. The stream owns `bytes` from now on and must not find them changed. Everything is taken, whatever the
   * window; false means: wait for `writable` before sending more.
   */
  sendData(bytes: Uint8Array, options?: { end?: boolean }): boolean;
  /** A trailer section; ends the message. */
  sendTrailers(fields: FieldSection): void;
  /** Ends the message. */
  end(): void;
  /** Holds back `data` and what follows it; the peer is stopped by flow control. */
  pause(): void;
  resume(): void;
  /** Abandons both directions with an H3 error code (RFC 9114 §4.1.1). Does nothing when both are over. No more handler calls. */
  cancel(code: bigint): void;
  /** Reads no further but goes on sending: a server that answers early uses H3_NO_ERROR (RFC 9114 §4.1). */
  stopReceiving(code: bigint): void;
}
