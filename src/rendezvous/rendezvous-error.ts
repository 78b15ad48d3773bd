export type RendezvousErrorCode =
  /** A registration, a selector or a name is not what it has to be; the message says what is wrong. */
  | "malformed"
  /** It is, but larger than any may be. */
  | "too-large"
  /** The peer has not signed this. */
  | "bad-signature"
  /** The registration ended because another program has registered with the same key. */
  | "replaced"
  /** What was being done is over, because somebody closed it. */
  | "closed"
  /** The partner of a pair has left. */
  | "left"
  /** A place cannot start: its address is taken, or its certificate is none. */
  | "cannot-start"
  /** A package that this needs is not installed; the message says which. */
  | "missing-package";

/** What this folder fails with, where it is not a call: those fail with ConnectError. */
export class RendezvousError extends Error {
  override readonly name = "RendezvousError";
  readonly code: RendezvousErrorCode;

  constructor(code: RendezvousErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
