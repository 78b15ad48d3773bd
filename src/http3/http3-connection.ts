// PLACEHOLDER of the public face, to be filled in: what rpc/ builds on.
import type { CloseCause, EngineConnection, Role } from "../engine/engine.ts";
import type { FieldSection } from "./field-section.ts";
import type { MessageHandler, RequestStream } from "./request-stream.ts";

/** Limits on what a peer can make us hold or do. */
export interface Http3Limits {
  /** Largest field section that we accept, counted as in RFC 9114 §4.2.2. Default 64 KiB; advertised in SETTINGS. */
  readonly maxFieldSectionSize: number;
  /** QPACK dynamic table that the peer may fill at our side, bytes. Default 4096. */
  readonly qpackMaxTableCapacity: number;
  /** Streams that may wait for QPACK inserts. Default 16. */
  readonly qpackBlockedStreams: number;
  /** A request or response head must be complete this long after its first byte. Milliseconds. Default 10_000. */
  readonly headersTimeoutMs: number;
  /** Streams reset by the peer before their answer within `resetWindowMs` that end the connection with H3_EXCESSIVE_LOAD. */
  readonly maxResets: number;
}

export interface Http3ConnectionOptions {
  readonly role: Role;
  readonly limits?: Partial<Http3Limits>;
  /** A request arrived (its header section is complete). Returns its handler; `headers` is called on it right after. */
  readonly onRequest?: (stream: RequestStream) => MessageHandler;
  /** The peer is going away: no new requests will be processed on this connection (RFC 9114 §5.2). */
  readonly onGoaway?: () => void;
  /** The connection is over; every open request has got `failed` before. */
  readonly onClosed?: (cause: CloseCause) => void;
}

/** HTTP/3 (RFC 9114) on a QUIC connection. */
export declare class Http3Connection {
  constructor(connection: EngineConnection, options: Http3ConnectionOptions);
  /**
   * Sends a request. Never throws for lack of streams: above the peer's stream limit the request waits its turn, and
   * `cancel` takes it out of the queue. Failures go to `handler.failed`.
   */
  request(
    fields: FieldSection,
    handler: MessageHandler,
    options?: { end?: boolean },
  ): RequestStream;
  /** Requests that are open or waiting, both directions. */
  readonly activeRequests: number;
  /** Requests that wait for the peer to allow another stream. */
  readonly queuedRequests: number;
  /** "open", "draining" (GOAWAY sent or received: no new requests), or "closed". */
  readonly state: "open" | "draining" | "closed";
  /** Sends GOAWAY, lets running requests end, then closes with H3_NO_ERROR; at the latest after `timeoutMs`. */
  shutdown(options: { timeoutMs: number }): Promise<void>;
  /** Closes now with an H3 code; running requests fail. */
  close(code: bigint, reason: string): void;
}
