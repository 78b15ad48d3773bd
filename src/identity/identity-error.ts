/** What was wrong with what was given. */
export type IdentityErrorCode =
  /** Not an endpoint id, or not the public key of anything. */
  | "invalid-id"
  /** Not an address, relay URL or set of addresses. */
  | "invalid-address"
  /** Not an endpoint ticket, or a damaged one. */
  | "invalid-ticket"
  /** Not a secret key, or none for what it was given for. The message never holds any of the text. */
  | "invalid-key"
  /** Not a certificate, or not a chain or bundle of them. */
  | "invalid-certificate"
  /** A key file that is missing, cannot be read or written, exists already, or is open to other users. */
  | "key-file";

/** Thrown by everything in this folder; the message says what is wrong and where. */
export class IdentityError extends Error {
  override readonly name = "IdentityError";
  readonly code: IdentityErrorCode;

  constructor(code: IdentityErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Text of strangers, made fit for a message: escaped, and cut when it is long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text);
}
