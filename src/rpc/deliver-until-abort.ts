import type { Interceptor } from "@connectrpc/connect";
import { wrapIterable } from "./wrap-iterable.ts";

/**
 * From the moment that the signal of a call fires, its response yields no further message, though some may have been
 * received and parsed already: the outermost interceptor of a transport.
 */
export const deliverUntilAbort: Interceptor = (next) => async (request) => {
  const response = await next(request);
  if (!response.stream) {
    return response;
  }
  let done = false;
  const message = wrapIterable(response.message, async (messages) => {
    // The signal also fires when a call has ended well.
    if (!done) {
      request.signal.throwIfAborted();
    }
    const result = await messages.next();
    done ||= result.done === true;
    if (!done) {
      request.signal.throwIfAborted();
    }
    return result;
  });
  return { ...response, message };
};
