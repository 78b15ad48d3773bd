// What stands before the InterceptedTestService. Two interceptors that leave traces, the outer one first.

import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { contextNote } from "./context-note.ts";
import type { Journal } from "./journal.ts";

/** Each adds its name to this request header, so the handler sees the order in which they ran. */
export const orderHeader = "x-server-order";
/** Each adds its name to this response header, on the way back. */
export const returnOrderHeader = "x-server-return-order";
/** A request header: what it holds goes into the context of the call. */
export const noteHeader = "x-server-note";
/** A request header: the outer interceptor refuses the call with this text. */
export const refuseHeader = "x-server-refuse";
/** Response trailers: how many messages of a stream passed the outer interceptor. */
export const requestCountTrailer = "x-server-requests";
export const responseCountTrailer = "x-server-responses";

/** A request header: the journal notes "intercepted" for the call of this name. */
export const callNameHeader = "x-call-name";

const outer =
  (journal: Journal): Interceptor =>
  (next) =>
  async (request) => {
    journal.call(request.header.get(callNameHeader) ?? "").note("intercepted");
    const refusal = request.header.get(refuseHeader);
    if (refusal !== null) {
      throw new ConnectError(refusal, Code.PermissionDenied, { [returnOrderHeader]: "outer" });
    }
    request.contextValues.set(contextNote, request.header.get(noteHeader) ?? "");
    request.header.append(orderHeader, "outer");
    const requests = { count: 0 };
    const response = await next(
      request.stream ? { ...request, message: counted(request.message, requests) } : request,
    );
    response.header.append(returnOrderHeader, "outer");
    if (!response.stream) {
      return response;
    }
    const responses = { count: 0 };
    return {
      ...response,
      message: counted(response.message, responses, () => {
        response.trailer.set(requestCountTrailer, String(requests.count));
        response.trailer.set(responseCountTrailer, String(responses.count));
      }),
    };
  };

const inner: Interceptor = (next) => async (request) => {
  request.header.append(orderHeader, "inner");
  const response = await next(request);
  response.header.append(returnOrderHeader, "inner");
  return response;
};

/** The outer one first. */
export function serverInterceptors(journal: Journal): Interceptor[] {
  return [outer(journal), inner];
}

/** Passes messages on and counts them; `done` is called after the last. */
export async function* counted<T>(
  messages: AsyncIterable<T>,
  counter: { count: number },
  done: () => void = () => {},
): AsyncGenerator<T, void> {
  for await (const message of messages) {
    counter.count++;
    yield message;
  }
  done();
}
