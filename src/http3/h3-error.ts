import { Qpack } from "./qpack/qpack-error.ts";

/** Error codes of HTTP/3 (RFC 9114 §8.1). Those of QPACK are in `qpack/qpack-error.ts`. */
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
  /** One of {@link H3} or of QPACK's, or whatever number the peer sent. */
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

/** The peer broke the rules in a way that ends the connection (RFC 9114 §8). */
export function connectionError(code: bigint, message: string): H3Error {
  return new H3Error(code, message, { scope: "connection", origin: "local" });
}

/** The peer broke the rules in a way that ends one stream (RFC 9114 §8). */
export function streamError(code: bigint, message: string): H3Error {
  return new H3Error(code, message, { scope: "stream", origin: "local" });
}

/** How an error code reads in a message: `H3_NO_ERROR`, or the number when the code is unknown. */
export function errorCodeName(code: bigint): string {
  for (const [name, value] of Object.entries(H3)) {
    if (value === code) {
      return `H3_${name}`;
    }
  }
  for (const [name, value] of Object.entries(Qpack)) {
    if (value === code) {
      return `QPACK_${name}`;
    }
  }
  return `0x${code.toString(16)}`;
}
