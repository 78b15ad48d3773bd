// What calls fail with: every code of the layers below and the Connect code that a caller gets for it.

import { Code, ConnectError } from "@connectrpc/connect";
import {
  closeCode,
  describeClose,
  EndpointError,
  type EndpointErrorCode,
  isRejection,
} from "../endpoint/endpoint-error.ts";
import { H3, H3Error } from "../http3/h3-error.ts";
import { IdentityError } from "../identity/identity-error.ts";

/** Dialing and connections. */
export const endpointErrorCodes: Readonly<Record<EndpointErrorCode, Code>> = {
  "no-address": Code.Unavailable,
  "dial-timeout": Code.Unavailable,
  "wrong-key": Code.Unauthenticated,
  refused: Code.Unavailable,
  rejected: Code.Unauthenticated,
  // It is there, and serves no calls now: perhaps not yet, or not any more.
  "alpn-mismatch": Code.Unavailable,
  "not-authorized": Code.PermissionDenied,
  "connection-lost": Code.Unavailable,
  // Whoever closes an endpoint or a transport has given up the calls on it: no reason to try again.
  "endpoint-closed": Code.Canceled,
  "bind-failed": Code.Unavailable,
  "worker-ended": Code.Unavailable,
  "stream-reset": Code.Internal,
  "stream-stopped": Code.Internal,
  "stream-ended": Code.Internal,
  "too-large": Code.ResourceExhausted,
  "engine-failed": Code.Internal,
};

/** One request that failed while its connection lives on; the counterparts of gRPC's table for HTTP/2. */
export const requestErrorCodes: ReadonlyMap<bigint, Code> = new Map([
  [H3.NO_ERROR, Code.Internal],
  [H3.GENERAL_PROTOCOL_ERROR, Code.Internal],
  [H3.INTERNAL_ERROR, Code.Internal],
  [H3.FRAME_UNEXPECTED, Code.Internal],
  [H3.FRAME_ERROR, Code.Internal],
  [H3.EXCESSIVE_LOAD, Code.ResourceExhausted],
  [H3.REQUEST_REJECTED, Code.Unavailable],
  [H3.REQUEST_CANCELLED, Code.Canceled],
  [H3.REQUEST_INCOMPLETE, Code.Internal],
  [H3.MESSAGE_ERROR, Code.Internal],
  [H3.CONNECT_ERROR, Code.Internal],
  [H3.VERSION_FALLBACK, Code.Unimplemented],
]);

/** A connection that the peer closed with a code of its own; all codes but these are Unavailable. */
export const peerCloseCodes: ReadonlyMap<bigint, Code> = new Map([
  [closeCode.notAuthorized, Code.PermissionDenied],
  [H3.EXCESSIVE_LOAD, Code.ResourceExhausted],
]);

/**
 * The error of a call to `peer` (an id in its short form) that failed with `error`. Errors of Connect pass as they are,
 * everything else becomes the `cause` of a new one.
 */
export function callError(error: unknown, peer: string): ConnectError {
  if (error instanceof ConnectError) {
    return error;
  }
  if (error instanceof EndpointError) {
    return connectError(error.message, endpointErrorCodes[error.code], error);
  }
  if (error instanceof IdentityError) {
    return connectError(error.message, Code.InvalidArgument, error);
  }
  if (error instanceof H3Error) {
    return h3CallError(error, peer);
  }
  // AbortError and TimeoutError become Canceled, as with every transport of Connect.
  return ConnectError.from(error, Code.Internal);
}

function h3CallError(error: H3Error, peer: string): ConnectError {
  if (error.scope === "stream") {
    const code = requestErrorCodes.get(error.code) ?? Code.Unknown;
    return connectError(`call to ${peer} failed: ${error.message}`, code, error);
  }
  const cause = closeCauseOf(error);
  if (cause === undefined) {
    return connectError(`connection to ${peer} lost: ${error.message}`, Code.Unavailable, error);
  }
  const message = `connection to ${peer} lost: ${describeClose(cause)}`;
  return connectError(message, codeOfClose(cause), error);
}

function codeOfClose(cause: CloseCause): Code {
  switch (cause.type) {
    case "application":
      // Whoever closes a connection has given up the calls on it.
      return cause.origin === "local"
        ? Code.Canceled
        : (peerCloseCodes.get(cause.code) ?? Code.Unavailable);
    case "engine-failed":
      return Code.Internal;
    case "transport":
      return isRejection(cause) ? Code.Unauthenticated : Code.Unavailable;
    case "timeout":
    case "reset":
    case "version-mismatch":
    case "early-data-rejected":
      return Code.Unavailable;
  }
}

/** How the connection of a request ended, unless HTTP/3 ended it for a fault of the peer. */
function closeCauseOf({ cause }: H3Error): CloseCause | undefined {
  return typeof cause === "object" && cause !== null && !(cause instanceof Error)
    ? (cause as CloseCause)
    : undefined;
}

/**
 * The reason with which the signal of a handler fires when the request of `peer` ended before its answer: Canceled when
 * the caller gave up, DeadlineExceeded when it did so because its time was up, Unavailable when the connection is gone.
 * `remainingMs` is what is left of the call's deadline.
 */
export function abortReason(
  error: H3Error,
  peer: string,
  remainingMs: number | undefined,
): ConnectError {
  if (error.scope === "connection") {
    const cause = closeCauseOf(error);
    const how = cause === undefined ? error.message : describeClose(cause);
    return connectError(`connection to caller ${peer} lost: ${how}`, Code.Unavailable, error);
  }
  if (error.origin === "local") {
    return connectError(`request of ${peer} is malformed: ${error.message}`, Code.Internal, error);
  }
  return remainingMs !== undefined && remainingMs <= deadlineToleranceMs
    ? connectError(`the deadline of ${peer} has passed`, Code.DeadlineExceeded, error)
    : connectError(`${peer} cancelled the call`, Code.Canceled, error);
}

/** How a caller gives up once its request is complete: it stops the answer with a code. */
export function answerUnwanted(code: bigint): H3Error {
  return new H3Error(code, "the caller wants no answer", { scope: "stream", origin: "peer" });
}

/**
 * A caller's clock began before the request arrived here, so its reset arrives before our own timer fires. Whoever
 * gives up this shortly before the end is taken to have run out of time.
 */
const deadlineToleranceMs = 100;

type CloseCause = Parameters<typeof describeClose>[0];

function connectError(message: string, code: Code, cause: unknown): ConnectError {
  return new ConnectError(message, code, undefined, undefined, cause);
}
