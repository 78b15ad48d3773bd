// What requests get to know when their connection, or its peer, takes no more part.

import type { CloseCause } from "../engine/engine.ts";
import { errorCodeName, H3, H3Error } from "./h3-error.ts";

/** A new request came too late for its connection. */
export function connectionNotOpen(state: "draining" | "closed"): H3Error {
  const why = state === "closed" ? "is closed" : "takes no new requests";
  return new H3Error(H3.REQUEST_REJECTED, `cannot send request: the connection ${why}`, {
    scope: "connection",
    origin: "local",
    unprocessed: true,
  });
}

/** The request is beyond what the peer's GOAWAY promises to process (RFC 9114 §5.2). */
export function refusedByGoaway(): H3Error {
  return new H3Error(
    H3.REQUEST_REJECTED,
    "the peer went away before it processed the request (RFC 9114 §5.2)",
    { scope: "stream", origin: "peer", unprocessed: true },
  );
}

/** The connection ended: because of `fault` if we ended it for one. What was early data that is refused never arrived. */
export function connectionLost(
  cause: CloseCause,
  fault: H3Error | undefined,
  unprocessed: boolean,
): H3Error {
  if (fault !== undefined) {
    return new H3Error(fault.code, fault.message, {
      scope: "connection",
      origin: "local",
      unprocessed,
      cause: fault,
    });
  }
  return new H3Error(
    cause.type === "application" ? cause.code : H3.NO_ERROR,
    `connection lost: ${describe(cause)}`,
    {
      scope: "connection",
      origin: "origin" in cause ? cause.origin : "local",
      unprocessed,
      cause,
    },
  );
}

function describe(cause: CloseCause): string {
  switch (cause.type) {
    case "application":
      return closedBy(cause.origin, errorCodeName(cause.code), cause.reason);
    case "transport":
      return closedBy(cause.origin, `QUIC error 0x${cause.code.toString(16)}`, cause.reason);
    case "timeout":
      return cause.handshaking ? "the handshake took too long" : "nothing came from the peer";
    case "reset":
      return "the peer has forgotten it";
    case "version-mismatch":
      return "the peer speaks another version of QUIC";
    case "early-data-rejected":
      return "the peer took no early data";
    case "engine-failed":
      return `the engine failed: ${cause.reason}`;
  }
}

function closedBy(origin: "local" | "peer", code: string, reason: string): string {
  const who = origin === "local" ? "closed here" : "closed by the peer";
  return `${who} with ${code}${reason === "" ? "" : `: ${reason}`}`;
}
