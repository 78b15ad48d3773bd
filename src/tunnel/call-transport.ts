import type { Transport } from "@connectrpc/connect";
import type { UniversalClientFn } from "@connectrpc/connect/protocol";
import { createTransport } from "@connectrpc/connect/protocol-grpc";
import { largestMessageBytes } from "../rpc/check-options.ts";
import { deliverUntilAbort } from "../rpc/deliver-until-abort.ts";
import { followSignals } from "../rpc/follow-signals.ts";
import { defaultReadMaxBytes } from "../rpc/message-limits.ts";
import type { TunnelCallOptions } from "./tunnel-options.ts";

/** Connect's gRPC on calls through tunnels: in a stream of a tunnel, a request for gRPC is at home. */
export function createCallTransport(
  call: UniversalClientFn,
  options: TunnelCallOptions = {},
): Transport {
  const { interceptors = [], readMaxBytes, writeMaxBytes } = options;
  const { binaryOptions, defaultTimeoutMs } = options;
  return followSignals(
    createTransport({
      ...(binaryOptions === undefined ? {} : { binaryOptions }),
      ...(defaultTimeoutMs === undefined ? {} : { defaultTimeoutMs }),
      baseUrl: "https://tunnel.invalid",
      httpClient: call,
      useBinaryFormat: true,
      interceptors: [deliverUntilAbort, ...interceptors],
      acceptCompression: [],
      sendCompression: null,
      compressMinBytes: largestMessageBytes,
      readMaxBytes: readMaxBytes ?? defaultReadMaxBytes,
      writeMaxBytes: writeMaxBytes ?? largestMessageBytes,
    }),
  );
}
