import { type ContextKey, type ContextValues, createContextKey } from "@connectrpc/connect";

/**
 * Among the context values of a stream that is to carry calls of the other side: a transport that knows who answers takes
 * it out, and calls it before the response is there, with what handlers of those calls find about their caller.
 */
export const answeredByKey: ContextKey<((answering: ContextValues) => void) | undefined> =
  createContextKey<((answering: ContextValues) => void) | undefined>(undefined, {
    description: "connect-quic answered by",
  });
