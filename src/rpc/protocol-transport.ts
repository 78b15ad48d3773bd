import type { DescMethod } from "@bufbuild/protobuf";
import type {
  Interceptor,
  StreamRequest,
  StreamResponse,
  Transport,
  UnaryRequest,
  UnaryResponse,
} from "@connectrpc/connect";
import { type CommonTransportOptions, createMethodUrl } from "@connectrpc/connect/protocol";
import { createTransport as createConnect } from "@connectrpc/connect/protocol-connect";
import { createTransport as createGrpc } from "@connectrpc/connect/protocol-grpc";
import { createTransport as createGrpcWeb } from "@connectrpc/connect/protocol-grpc-web";
import { answeredByKey } from "./answered-by.ts";
import { deliverUntilAbort } from "./deliver-until-abort.ts";
import { followSignals } from "./follow-signals.ts";
import { mayGoEarly } from "./side-effects.ts";
import { StreamCaller } from "./stream-call.ts";
import { UnaryCaller } from "./unary-call.ts";
import { type BeginCall, universalCall } from "./universal-call.ts";

/** How calls look on the wire. */
export type Protocol = "connect" | "grpc" | "grpc-web";

const creators = { connect: createConnect, grpc: createGrpc, "grpc-web": createGrpcWeb } as const;

export type ProtocolTransportOptions = Omit<CommonTransportOptions, "httpClient">;

/** Says which of several peers a call goes to: those with the same key go to the same one. */
export type KeyOf = (request: UnaryRequest | StreamRequest) => string;

/**
 * Connect's own transport of a protocol, on calls of ours; stricter about what happens when a call is cancelled. Calls
 * that allow it take a shorter way, those without `keyOf`.
 */
export function createProtocolTransport(
  protocol: Protocol,
  options: ProtocolTransportOptions,
  begin: BeginCall,
  keyOf?: KeyOf,
): Transport {
  // Connect's transports do not tell which method a request is for.
  const earlyUrls = new Set<string>();
  // Nor which request of an interceptor one is for, but they pass its signal on, which is one of its own.
  const keys = new WeakMap<AbortSignal, string>();
  const addKey: Interceptor = (next) => async (request) => {
    if (keyOf !== undefined) {
      keys.set(request.signal, keyOf(request));
    }
    return await next(request);
  };
  const called = (method: DescMethod): void => {
    if (mayGoEarly(method)) {
      earlyUrls.add(createMethodUrl(options.baseUrl, method));
    }
  };
  const transport = followSignals(
    creators[protocol]({
      ...options,
      interceptors: [
        deliverUntilAbort,
        ...options.interceptors,
        ...(keyOf === undefined ? [] : [addKey]),
      ],
      httpClient: (request) => {
        const [url = ""] = request.url.split("?", 1);
        return universalCall(request, begin, {
          early: earlyUrls.has(url),
          key: request.signal && keys.get(request.signal),
        });
      },
    }),
  );
  const hasShortWay = protocol !== "grpc-web" && keyOf === undefined;
  const caller = hasShortWay ? new UnaryCaller(protocol, options, begin) : undefined;
  const streamer = hasShortWay ? new StreamCaller(protocol, options, begin) : undefined;
  return {
    unary: async (method, signal, timeoutMs, header, input, contextValues) => {
      if (caller?.takes(method) === true) {
        const response: UnaryResponse = await caller.call(method, signal, timeoutMs, header, input);
        return response as UnaryResponse<typeof method.input, typeof method.output>;
      }
      called(method);
      return transport.unary(method, signal, timeoutMs, header, input, contextValues);
    },
    stream: async (method, signal, timeoutMs, header, input, contextValues) => {
      const answeredBy = contextValues?.get(answeredByKey);
      if (answeredBy !== undefined) {
        contextValues?.delete(answeredByKey);
        const telling: BeginCall = (request, response) =>
          begin({ ...request, answeredBy }, response);
        const once = createProtocolTransport(protocol, options, telling, keyOf);
        return once.stream(method, signal, timeoutMs, header, input, contextValues);
      }
      if (streamer?.takesAll === true) {
        const response: StreamResponse = await streamer.call(
          method,
          signal,
          timeoutMs,
          header,
          input,
        );
        return response as StreamResponse<typeof method.input, typeof method.output>;
      }
      called(method);
      return transport.stream(method, signal, timeoutMs, header, input, contextValues);
    },
  };
}
