// What the protocols that have a short way do differently where they are served. Their functions are connect-es's.

import type { ConnectError } from "@connectrpc/connect";
import {
  contentTypeStreamJson,
  contentTypeStreamProto,
  parseTimeout as parseConnectTimeout,
} from "@connectrpc/connect/protocol-connect";
import {
  contentTypeJson,
  contentTypeProto,
  grpcStatusOk,
  parseContentType,
  parseTimeout as parseGrpcTimeout,
} from "@connectrpc/connect/protocol-grpc";

/** A protocol whose messages come in envelopes: gRPC, and Connect's streams. */
export interface ServedProtocol {
  readonly name: "connect" | "grpc";
  readonly timeoutHeader: string;
  readonly encodingHeader: string;
  readonly acceptHeader: string;
  /** Whether messages are in the binary format; undefined for a content type of another protocol. */
  isBinary(contentType: string): boolean | undefined;
  parseTimeout(
    value: string | null,
    maxTimeoutMs: number,
  ): { readonly timeoutMs?: number; readonly error?: ConnectError | undefined };
  /** Of the answer to a request with this content type. */
  contentType(requested: string, binary: boolean): string;
  /** What the trailers say at first. */
  readonly trailer: Readonly<Record<string, string>>;
}

const connect: ServedProtocol = {
  name: "connect",
  timeoutHeader: "connect-timeout-ms",
  encodingHeader: "connect-content-encoding",
  acceptHeader: "connect-accept-encoding",
  isBinary: (contentType) => {
    const binary = contentType === contentTypeStreamProto;
    return binary || contentType === contentTypeStreamJson ? binary : undefined;
  },
  parseTimeout: parseConnectTimeout,
  contentType: (requested) => requested,
  trailer: {},
};

const grpc: ServedProtocol = {
  name: "grpc",
  timeoutHeader: "grpc-timeout",
  encodingHeader: "grpc-encoding",
  acceptHeader: "grpc-accept-encoding",
  isBinary: (contentType) => parseContentType(contentType)?.binary,
  parseTimeout: parseGrpcTimeout,
  contentType: (_requested, binary) => (binary ? contentTypeProto : contentTypeJson),
  trailer: { "grpc-status": grpcStatusOk },
};

/** Protocol and format of a request with this content type; undefined for one that has no short way. */
export function servedProtocol(
  contentType: string,
): { readonly protocol: ServedProtocol; readonly binary: boolean } | undefined {
  for (const protocol of [connect, grpc]) {
    const binary = protocol.isBinary(contentType);
    if (binary !== undefined) {
      return { protocol, binary };
    }
  }
  return undefined;
}
