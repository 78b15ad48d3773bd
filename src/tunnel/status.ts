// Between the trailers of gRPC, in which Connect's gRPC says how a call has ended, and the status of a frame.

import { create } from "@bufbuild/protobuf";
import {
  Code,
  type ConnectError,
  decodeBinaryHeader,
  encodeBinaryHeader,
} from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { type Status, StatusSchema } from "./gen/google/rpc/status_pb.ts";

/** The status that trailers tell of; Internal when they tell of none. */
export function statusFromTrailer(trailer: Headers): Status {
  const details = trailer.get("grpc-status-details-bin");
  if (details !== null) {
    return decodeBinaryHeader(details, StatusSchema);
  }
  const code = trailer.get("grpc-status");
  return create(StatusSchema, {
    code: code === null ? Code.Internal : Number(code),
    message: decodeURIComponent(trailer.get("grpc-message") ?? ""),
  });
}

export function statusFromError(error: ConnectError): Status {
  return statusFromTrailer(setTrailerStatus(new Headers(), error));
}

/** Adds a status of the peer to trailers. A code that gRPC does not have becomes Unknown. */
export function addStatus(trailer: Headers, status: Status | undefined): void {
  if (status === undefined || status.code === 0) {
    trailer.set("grpc-status", "0");
    return;
  }
  const code = status.code in Code ? status.code : Code.Unknown;
  trailer.set("grpc-status", String(code));
  trailer.set("grpc-message", encodeURIComponent(status.message));
  if (status.details.length > 0) {
    const bytes = encodeBinaryHeader(create(StatusSchema, { ...status, code }), StatusSchema);
    trailer.set("grpc-status-details-bin", bytes);
  }
}
