import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type describeClose,
  EndpointError,
  type EndpointErrorCode,
} from "../endpoint/endpoint-error.ts";
import { H3, H3Error } from "../http3/h3-error.ts";
import { IdentityError } from "../identity/identity-error.ts";
import { abortReason, callError, endpointErrorCodes, requestErrorCodes } from "./connect-errors.ts";

type CloseCause = Parameters<typeof describeClose>[0];

const endpointRows: Record<EndpointErrorCode, Code> = {
  "no-address": Code.Unavailable,
  "dial-timeout": Code.Unavailable,
  "wrong-key": Code.Unauthenticated,
  refused: Code.Unavailable,
  rejected: Code.Unauthenticated,
  "alpn-mismatch": Code.Unavailable,
  "not-authorized": Code.PermissionDenied,
  "connection-lost": Code.Unavailable,
  "endpoint-closed": Code.Canceled,
  "bind-failed": Code.Unavailable,
  "stream-reset": Code.Internal,
  "stream-stopped": Code.Internal,
  "stream-ended": Code.Internal,
  "too-large": Code.ResourceExhausted,
  "engine-failed": Code.Internal,
  "worker-ended": Code.Unavailable,
};

for (const [endpointCode, code] of Object.entries(endpointRows)) {
  test(`endpoint error ${endpointCode} becomes ${Code[code]}`, () => {
    const cause = new EndpointError(endpointCode as EndpointErrorCode, "cannot connect to c1c1");
    const error = callError(cause, "c1c1");
    assert.equal(error.code, code);
    assert.equal(error.rawMessage, "cannot connect to c1c1");
    assert.equal(error.cause, cause);
  });
}

test("every endpoint error has its row here", () => {
  assert.deepEqual(Object.keys(endpointRows).sort(), Object.keys(endpointErrorCodes).sort());
});

const requestRows: readonly [code: bigint, expected: Code][] = [
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
  [0x1234_5678n, Code.Unknown],
];

for (const [h3Code, code] of requestRows) {
  test(`a request that is reset with 0x${h3Code.toString(16)} becomes ${Code[code]}`, () => {
    const cause = new H3Error(h3Code, "the peer reset it", { scope: "stream", origin: "peer" });
    const error = callError(cause, "c1c1");
    assert.equal(error.code, code);
    assert.equal(error.rawMessage, "call to c1c1 failed: the peer reset it");
    assert.equal(error.cause, cause);
  });
}

test("every code of a request has its row here", () => {
  const known = requestRows.map(([code]) => code).filter((code) => requestErrorCodes.has(code));
  assert.equal(known.length, requestErrorCodes.size);
});

const connectionRows: readonly [what: string, cause: CloseCause | H3Error, expected: Code][] = [
  ["that timed out", { type: "timeout", handshaking: false }, Code.Unavailable],
  ["that the peer has forgotten", { type: "reset" }, Code.Unavailable],
  [
    "that the peer ended for our certificate",
    { type: "transport", origin: "peer", code: 0x174n, reason: "" },
    Code.Unauthenticated,
  ],
  ["in another version of QUIC", { type: "version-mismatch" }, Code.Unavailable],
  ["as early data that is refused", { type: "early-data-rejected" }, Code.Unavailable],
  ["that QUIC ended", { ...closed(0x0an, "peer"), type: "transport" }, Code.Unavailable],
  ["that the peer closed", closed(H3.NO_ERROR, "peer"), Code.Unavailable],
  ["that the peer closed for a protocol error", closed(H3.FRAME_ERROR, "peer"), Code.Unavailable],
  ["that the peer closed as too busy", closed(H3.EXCESSIVE_LOAD, "peer"), Code.ResourceExhausted],
  ["whose peer did not authorize us", closed(0x403n, "peer"), Code.PermissionDenied],
  ["that was closed here", closed(H3.NO_ERROR, "local"), Code.Canceled],
  ["whose engine broke", { type: "engine-failed", reason: "panic" }, Code.Internal],
  [
    "that was ended here for a fault of the peer",
    new H3Error(H3.FRAME_ERROR, "frame too long", { scope: "connection", origin: "local" }),
    Code.Unavailable,
  ],
];

for (const [what, cause, code] of connectionRows) {
  test(`a connection ${what} ends its calls with ${Code[code]}`, () => {
    const lost = connectionLost(cause);
    const error = callError(lost, "c1c1");
    assert.equal(error.code, code);
    assert.equal(error.cause, lost);
    assert.match(error.rawMessage, /^connection to c1c1 lost: ./);
  });
}

test("a malformed target becomes InvalidArgument", () => {
  const error = callError(new IdentityError("invalid-ticket", "invalid ticket: cut short"), "c1");
  assert.equal(error.code, Code.InvalidArgument);
  assert.equal(error.rawMessage, "invalid ticket: cut short");
});

test("an error of Connect stays as it is", () => {
  const error = new ConnectError("x", Code.NotFound);
  assert.equal(callError(error, "c1"), error);
});

test("AbortError and TimeoutError become Canceled, anything else Internal with its cause", () => {
  assert.equal(callError(new DOMException("x", "AbortError"), "c1").code, Code.Canceled);
  assert.equal(callError(new DOMException("x", "TimeoutError"), "c1").code, Code.Canceled);
  const cause = new Error("odd");
  const error = callError(cause, "c1");
  assert.equal(error.code, Code.Internal);
  assert.equal(error.cause, cause);
  assert.equal(callError("text", "c1").code, Code.Internal);
});

const reset = new H3Error(H3.REQUEST_CANCELLED, "reset", { scope: "stream", origin: "peer" });
const malformed = new H3Error(H3.MESSAGE_ERROR, "bad", { scope: "stream", origin: "local" });

const abortRows: readonly [
  what: string,
  error: H3Error,
  remainingMs: number | undefined,
  expected: Code,
][] = [
  ["a caller that cancels", reset, undefined, Code.Canceled],
  ["a caller that cancels long before its deadline", reset, 5_000, Code.Canceled],
  ["a caller that resets when its deadline is there", reset, 20, Code.DeadlineExceeded],
  ["a caller that resets after its deadline", reset, -20, Code.DeadlineExceeded],
  [
    "a lost connection",
    connectionLost({ type: "timeout", handshaking: false }),
    undefined,
    Code.Unavailable,
  ],
  [
    "a lost connection when the deadline is there",
    connectionLost({ type: "reset" }),
    0,
    Code.Unavailable,
  ],
  [
    "a connection that was closed here",
    connectionLost(closed(H3.NO_ERROR, "local")),
    0,
    Code.Unavailable,
  ],
  ["a malformed request", malformed, undefined, Code.Internal],
];
for (const [what, error, remainingMs, code] of abortRows) {
  test(`F17: ${what} makes the handler's signal fire with ${Code[code]}`, () => {
    const reason = abortReason(error, "5e5e", remainingMs);
    assert.equal(reason.code, code);
    assert.match(reason.rawMessage, /5e5e/);
    assert.equal(reason.cause, error);
  });
}

/** As HTTP/3 tells requests of it. */
function connectionLost(cause: CloseCause | H3Error): H3Error {
  return new H3Error(H3.NO_ERROR, "it ended", { scope: "connection", origin: "local", cause });
}

function closed(code: bigint, origin: "local" | "peer"): CloseCause & { type: "application" } {
  return { type: "application", origin, code, reason: "" };
}
