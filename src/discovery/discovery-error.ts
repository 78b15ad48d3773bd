export type DiscoveryErrorCode =
  /** What came is not what the protocol says, or says that it belongs to another peer. */
  | "invalid-record"
  /** The record is not signed by the peer whose it claims to be. */
  | "bad-signature"
  /** The record is older than one that was seen before: a replay, or a place that is not kept up. */
  | "stale-record"
  /** The record is dated so far in the future that it cannot be meant. */
  | "future-record"
  /** What is to be published does not fit a record. */
  | "too-large"
  /** The source cannot be reached, or refuses. */
  | "unavailable"
  /** The source did not answer in time. */
  | "timeout"
  /** The source gave more than any peer has. */
  | "flood"
  /** A package that this source needs is not installed; the message says which. */
  | "missing-package"
  /** The source broke; `cause` says how. */
  | "source-failed";

/** What discovery fails with: a source, a record, or what is to be published. */
export class DiscoveryError extends Error {
  override readonly name = "DiscoveryError";
  readonly code: DiscoveryErrorCode;

  constructor(code: DiscoveryErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** An error of whatever kind as this layer's. */
export function asDiscoveryError(error: unknown): DiscoveryError {
  if (error instanceof DiscoveryError) {
    return error;
  }
  const problem = error instanceof Error ? error.message : String(error);
  return new DiscoveryError("source-failed", problem, { cause: error });
}
