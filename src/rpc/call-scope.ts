import {
  type ConnectError,
  type ContextKey,
  createContextKey,
  type Interceptor,
} from "@connectrpc/connect";
import { wrapIterable } from "./wrap-iterable.ts";

/** What the serving side knows of a call that Connect's handlers do not. */
export interface CallScope {
  /** Set before the handler runs: it must not run, the caller gets this error. */
  readonly refusal: ConnectError | undefined;
  /** The handler is done: its signal is to fire with {@link callComplete}. */
  complete(): void;
  /** The call has an answer, but this work of its handler goes on, and counts as long as it does. */
  outlives(work: Promise<unknown>): void;
}

export const callScopeKey: ContextKey<CallScope | undefined> = createContextKey<
  CallScope | undefined
>(undefined, { description: "connect-quic call scope" });

/**
 * The reason with which a handler's signal fires after the call has ended well: `signal.reason === callComplete`. With
 * any other reason the call was cut short: a ConnectError says Canceled (the caller gave up), DeadlineExceeded,
 * or Unavailable (the connection is gone); after a failure of the handler it is what the handler threw.
 */
export const callComplete: DOMException = new DOMException("the call is complete", "AbortError");

/** The outermost interceptor of every handler on a peer router. */
export const callScope: Interceptor = (next) => async (request) => {
  const scope = request.contextValues.get(callScopeKey);
  if (scope === undefined) {
    return next(request);
  }
  if (scope.refusal !== undefined) {
    throw scope.refusal;
  }
  const response = await next(request);
  if (!response.stream) {
    scope.complete();
    return response;
  }
  const message = wrapIterable(response.message, async (messages) => {
    const result = await messages.next();
    if (result.done === true) {
      scope.complete();
    }
    return result;
  });
  return { ...response, message };
};
