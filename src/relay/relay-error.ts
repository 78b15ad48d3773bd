/** What went wrong between a client and a relay. */
export type RelayErrorCode =
  /** A message of the other side is none that it may send. */
  | "invalid-frame"
  /** No connection came about: name not found, refused, TLS, or an answer that is no upgrade. */
  | "unreachable"
  /** The other side did not answer in time, while connecting or later. */
  | "timeout"
  /** The relay does not let this endpoint in, for the reason in the message. */
  | "denied"
  /** The connection ended, by the other side or by the network. */
  | "lost"
  /** A server cannot start: its address is taken, or its certificate is none. */
  | "cannot-start";

/** Thrown and reported by everything in this folder. */
export class RelayError extends Error {
  override readonly name = "RelayError";
  readonly code: RelayErrorCode;

  constructor(code: RelayErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
