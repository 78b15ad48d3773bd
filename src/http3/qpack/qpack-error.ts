/** Error codes of QPACK (RFC 9204 §6). All of them end the connection. */
export const Qpack = {
  /** A field section could not be decoded. */
  DECOMPRESSION_FAILED: 0x200n,
  /** The peer's encoder stream is at fault. */
  ENCODER_STREAM_ERROR: 0x201n,
  /** The peer's decoder stream is at fault. */
  DECODER_STREAM_ERROR: 0x202n,
} as const;

export type QpackErrorCode = (typeof Qpack)[keyof typeof Qpack];

/** The peer broke RFC 9204: a connection error with `code`. */
export class QpackError extends Error {
  override readonly name = "QpackError";
  readonly code: QpackErrorCode;

  constructor(code: QpackErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
