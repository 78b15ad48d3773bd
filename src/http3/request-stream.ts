// One request and its response, seen from either side. The client sends the request and its handler gets the response;
// on a server it is the other way round.

import type { H3Error } from "./h3-error.ts";
import type { FieldSection } from "./qpack/field.ts";

/**
 * Gets what the peer sends, in the order of the wire. After `failed` nothing more comes; after `end`, only what concerns
 * our sending: `writable`, `stopped`, `failed`. What a method throws fails the message with H3_INTERNAL_ERROR.
 * For a client: `informational`*, `headers`, `data`*, `trailers`?, `end`. For a server: `headers`, `data`*, `trailers`?, `end`.
 */
export interface MessageHandler {
  /** The header section: of the request on a server, of the final response on a client. Already checked (RFC 9114 §4.3). */
  headers(fields: FieldSection): void;
  /** An interim response (1xx); clients only. */
  informational(fields: FieldSection): void;
  /**
   * A piece of content; the handler owns `bytes`. Not called between `pause` and `resume`, unless the connection ends:
   * what had arrived of a response comes then, at most the stream's receive window, and after it `end` or `failed`.
   */
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

/** How a header section is sent. */
export interface SendHeadersOptions {
  /** The message has no content beyond `content`, and no trailers. Default false. */
  readonly end?: boolean;
  /** The first piece of content, as with `sendData`; small ones leave with the header section in one write. */
  readonly content?: Uint8Array;
}

export interface RequestStream {
  handler: MessageHandler;
  /** The QUIC stream id; -1 as long as the request waits for a stream. */
  readonly id: number;
  /**
   * The header section; on a server also interim ones (1xx), before the final one. Throws TypeError when it is not a
   * valid one (RFC 9114 §4.2, §4.3) or comes at the wrong time. A section above the peer's SETTINGS_MAX_FIELD_SECTION_SIZE
   * is not sent: the message fails with H3_EXCESSIVE_LOAD, scope "stream", origin "local".
   */
  sendHeaders(fields: FieldSection, options?: SendHeadersOptions): void;
  /** Whether nobody looks at content any more for which `sendData` has answered true. */
  readonly copiesData: boolean;
  /**
   * Content. The stream owns `bytes` from now on and must not find them changed. Everything is taken, whatever the
   * window; false means: wait for `writable` before sending more. What is sent after the sending half is over (cancelled,
   * stopped, failed) is dropped, and the answer is true.
   */
  sendData(bytes: Uint8Array, options?: { end?: boolean }): boolean;
  /** A trailer section; ends the message. Throws TypeError when it is not a valid one. */
  sendTrailers(fields: FieldSection): void;
  /** Ends the message. */
  end(): void;
  /** Holds back `data` and what follows it, as long as there is a connection; the peer is stopped by flow control. */
  pause(): void;
  resume(): void;
  /**
   * Abandons both directions with an H3 error code (RFC 9114 §4.1.1); takes a waiting request out of the queue. Does
   * nothing when both are over. No more handler calls.
   */
  cancel(code: bigint): void;
  /** Reads no further but goes on sending: a server that answers early uses H3_NO_ERROR (RFC 9114 §4.1). No more `data`, `trailers`, `end`. */
  stopReceiving(code: bigint): void;
}
