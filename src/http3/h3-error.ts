/** Error codes of HTTP/3 (RFC 9114 §8.1) and QPACK (RFC 9204 §6). */
export const H3 = {
  NO_ERROR: 0x100n,
  GENERAL_PROTOCOL_ERROR: 0x101n,
  INTERNAL_ERROR: 0x102n,
  STREAM_CREATION_ERROR: 0x103n,
  CLOSED_CRITICAL_STREAM: 0x104n,
  FRAME_UNEXPECTED: 0x105n,
  FRAME_ERROR: 0x106n,
  EXCESSIVE_LOAD: 0x107n,
  ID_ERROR: 0x108n,
  SETTINGS_ERROR: 0x109n,
  MISSING_SETTINGS: 0x10an,
  REQUEST_REJECTED: 0x10bn,
  REQUEST_CANCELLED: 0x10cn,
  REQUEST_INCOMPLETE: 0x10dn,
  MESSAGE_ERROR: 0x10en,
  CONNECT_ERROR: 0x10fn,
  VERSION_FALLBACK: 0x110n,
  QPACK_DECOMPRESSION_FAILED: 0x200n,
  QPACK_ENCODER_STREAM_ERROR: 0x201n,
  QPACK_DECODER_STREAM_ERROR: 0x202n,
} as const;

export interface H3ErrorOptions {
  /** "stream": this message alone; "connection": all of them. */
  readonly scope: "stream" | "connection";
  /** Who found fault. */
  readonly origin: "local" | "peer";
  /**
   * True when the peer cannot have processed the request: it was never sent, refused with H3_REQUEST_REJECTED, or its id
   * is above the last one of a GOAWAY. Sending it again, elsewhere, is safe whatever it does. Default false.
   */
  readonly unprocessed?: boolean;
  readonly cause?: unknown;
}

/** An HTTP/3 message or connection failed. */
export class H3Error extends Error {
  override readonly name = "H3Error";
  /** One of {@link H3}, or whatever number the peer sent. */
  readonly code: bigint;
  readonly scope: "stream" | "connection";
  readonly origin: "local" | "peer";
  readonly unprocessed: boolean;

  constructor(code: bigint, message: string, options: H3ErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.scope = options.scope;
    this.origin = options.origin;
    this.unprocessed = options.unprocessed ?? false;
  }
}
