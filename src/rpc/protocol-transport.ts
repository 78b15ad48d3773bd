import type { Transport, UnaryResponse } from "@connectrpc/connect";
import type { CommonTransportOptions } from "@connectrpc/connect/protocol";
import { createTransport as createConnect } from "@connectrpc/connect/protocol-connect";
import { createTransport as createGrpc } from "@connectrpc/connect/protocol-grpc";
import { createTransport as createGrpcWeb } from "@connectrpc/connect/protocol-grpc-web";
import { deliverUntilAbort } from "./deliver-until-abort.ts";
import { followSignal } from "./follow-signal.ts";
import { UnaryCaller } from "./unary-call.ts";
import { type BeginCall, universalCall } from "./universal-call.ts";
import { wrapIterable } from "./wrap-iterable.ts";

/** How calls look on the wire. */
export type Protocol = "connect" | "grpc" | "grpc-web";

const creators = { connect: createConnect, grpc: createGrpc, "grpc-web": createGrpcWeb } as const;

export type ProtocolTransportOptions = Omit<CommonTransportOptions, "httpClient">;

/**
 * Connect's own transport of a protocol, on calls of ours; stricter about what happens when a call is cancelled. Unary
 * calls that allow it take a shorter way.
 */
export function createProtocolTransport(
  protocol: Protocol,
  options: ProtocolTransportOptions,
  begin: BeginCall,
): Transport {
  const transport = creators[protocol]({
    ...options,
    interceptors: [deliverUntilAbort, ...options.interceptors],
    httpClient: (request) => universalCall(request, begin),
  });
  const caller = protocol === "connect" ? new UnaryCaller(options, begin) : undefined;
  return {
    unary: async (method, signal, ...rest) => {
      if (caller?.takes(method) === true) {
        const [timeoutMs, header, input] = rest;
        const response: UnaryResponse = await caller.call(method, signal, timeoutMs, header, input);
        return response as UnaryResponse<typeof method.input, typeof method.output>;
      }
      if (signal === undefined) {
        return await transport.unary(method, signal, ...rest);
      }
      const following = followSignal(signal);
      try {
        return await transport.unary(method, following.signal, ...rest);
      } finally {
        following.release();
      }
    },
    stream: async (method, signal, ...rest) => {
      if (signal === undefined) {
        return await transport.stream(method, signal, ...rest);
      }
      const following = followSignal(signal);
      try {
        const response = await transport.stream(method, following.signal, ...rest);
        const message = wrapIterable(response.message, async (messages) => {
          try {
            const result = await messages.next();
            if (result.done === true) {
              following.release();
            }
            return result;
          } catch (error) {
            following.release();
            throw error;
          }
        });
        return { ...response, message };
      } catch (error) {
        following.release();
        throw error;
      }
    },
  };
}
