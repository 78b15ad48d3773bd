import { Code, ConnectError } from "@connectrpc/connect";

/**
 * Largest message that either side reads when nothing else is asked for, 16 MiB. Connect's own default is 4 GiB, which a
 * stranger could make us hold.
 */
export const defaultReadMaxBytes = 16_777_216;

/** The error of connect-es for a message above `readMaxBytes`; `size` where it is known as a whole. */
export function messageTooLarge(readMaxBytes: number, size?: number): ConnectError {
  return new ConnectError(
    size === undefined
      ? `message size is larger than configured readMaxBytes ${readMaxBytes}`
      : `message size ${size} is larger than configured readMaxBytes ${readMaxBytes}`,
    Code.ResourceExhausted,
  );
}
