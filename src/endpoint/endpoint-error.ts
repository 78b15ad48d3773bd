import type { CloseCause, Credentials } from "../engine/engine.ts";

export type EndpointErrorCode =
  /** The target names no address that can be dialed, and discovery, if there is any, has found none. */
  | "no-address"
  /** Nobody answered within the dial timeout. */
  | "dial-timeout"
  /** Somebody answered and could not prove the dialed key, or has no certificate of the dialed name that is believed. */
  | "wrong-key"
  /** The peer answered and would not take the connection: it is too busy, or serves no protocol. */
  | "refused"
  /** The peer does not accept our key or certificate, or that we have none. */
  | "rejected"
  /** The peer speaks none of the offered protocols. */
  | "alpn-mismatch"
  /** The peer's authorize hook said no. */
  | "not-authorized"
  /** The connection ended; `closeCause` says how. */
  | "connection-lost"
  /** The endpoint was closed on this side. */
  | "endpoint-closed"
  /** The addresses to listen on cannot be had. */
  | "bind-failed"
  /** The peer gave up its sending half; `streamCode` is its reason. */
  | "stream-reset"
  /** The peer reads no further; `streamCode` is its reason. */
  | "stream-stopped"
  /** The half was finished, reset or stopped on this side. */
  | "stream-ended"
  /** More arrived than the caller allowed. */
  | "too-large"
  /** The QUIC engine broke. */
  | "engine-failed"
  /** A thread of `serveOnWorkers` has ended, or does not serve. */
  | "worker-ended";

export interface EndpointErrorOptions {
  readonly cause?: unknown;
  readonly closeCause?: CloseCause;
  readonly streamCode?: bigint;
}

/** What dialing, connections and streams fail with. */
export class EndpointError extends Error {
  override readonly name = "EndpointError";
  readonly code: EndpointErrorCode;
  /** How the connection ended, where that is why. */
  readonly closeCause: CloseCause | undefined;
  /** The application code of "stream-reset" and "stream-stopped". */
  readonly streamCode: bigint | undefined;

  constructor(code: EndpointErrorCode, message: string, options: EndpointErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.closeCause = options.closeCause;
    this.streamCode = options.streamCode;
  }
}

/** Application close codes that the endpoint itself uses, whatever the protocol above. */
export const closeCode = {
  /** A normal end. */
  none: 0n,
  /** The authorize hook said no. */
  notAuthorized: 0x403n,
  /** The protocol handler failed. */
  internalError: 0x500n,
  /** Nobody takes connections of this protocol fast enough. */
  busy: 0x503n,
} as const;

/** One line on how a connection ended. */
export function describeClose(cause: CloseCause): string {
  switch (cause.type) {
    case "application": {
      const who = cause.origin === "local" ? "closed by this side" : "closed by the peer";
      return `${who} with code ${formatCode(cause.code)}${quoted(cause.reason)}`;
    }
    case "transport": {
      if (isRejection(cause)) {
        const alert = cause.code - firstCryptoError;
        return `the peer does not accept what we are, or that we do not show it (TLS alert ${alert}${cause.reason === "" ? "" : `, ${cause.reason}`})`;
      }
      const who =
        cause.origin === "local" ? "ended by this side's QUIC" : "ended by the peer's QUIC";
      return `${who} with error ${formatCode(cause.code)}${quoted(cause.reason)}`;
    }
    case "timeout":
      return cause.handshaking
        ? "no answer to the handshake"
        : "nothing was heard of the peer for the idle timeout";
    case "reset":
      return "the peer has forgotten the connection (stateless reset)";
    case "version-mismatch":
      return "the peer speaks no QUIC version of ours";
    case "early-data-rejected":
      return "the peer takes no early data from us now";
    case "engine-failed":
      return `the QUIC engine failed: ${cause.reason}`;
  }
}

/** Turns the end of an established connection into an error. */
export function connectionLost(cause: CloseCause, peer: string): EndpointError {
  if (
    cause.type === "application" &&
    cause.origin === "peer" &&
    cause.code === closeCode.notAuthorized
  ) {
    return new EndpointError("not-authorized", `peer ${peer} refused us: not authorized`, {
      closeCause: cause,
    });
  }
  if (isRejection(cause)) {
    // A server looks at a client's certificate last: for the client, the handshake is over by then.
    return new EndpointError("rejected", `connection to ${peer} lost: ${describeClose(cause)}`, {
      closeCause: cause,
    });
  }
  const code = cause.type === "engine-failed" ? "engine-failed" : "connection-lost";
  return new EndpointError(code, `connection to ${peer} lost: ${describeClose(cause)}`, {
    closeCause: cause,
  });
}

/** Whom a dial was meant for, as messages name it. */
export interface DialTarget {
  /** Its short id, or a name and a port. */
  readonly peer: string;
  readonly addresses: string;
  readonly alpns: readonly string[];
  /** How the two sides prove who they are. */
  readonly credentials: Credentials["type"];
}

/** Turns the end of a handshake that we began into an error. */
export function dialFailed(
  cause: CloseCause,
  { peer, addresses, alpns, credentials }: DialTarget,
): EndpointError {
  const what = `cannot connect to ${peer} at ${addresses}`;
  const options = { closeCause: cause };
  if (cause.type === "timeout") {
    return new EndpointError(
      "dial-timeout",
      `${what}: no answer; is it running there, and does UDP reach it?`,
      options,
    );
  }
  if (cause.type === "transport") {
    if (cause.code === noApplicationProtocol) {
      const offered = alpns.map((alpn) => JSON.stringify(alpn)).join(" or ");
      return new EndpointError(
        "alpn-mismatch",
        `${what}: the peer does not speak ${offered}; it serves other protocols`,
        options,
      );
    }
    if (isCryptoError(cause.code)) {
      const { theirs, ours } = faults[credentials];
      return cause.origin === "local"
        ? new EndpointError("wrong-key", `${what}: ${theirs(cause.reason)}`, options)
        : new EndpointError(
            "rejected",
            `${what}: the peer does not accept ${ours}${quoted(cause.reason)}`,
            options,
          );
    }
    if (cause.code === connectionRefused) {
      return new EndpointError(
        "refused",
        `${what}: the peer refuses connections; it is too busy, or serves no protocol`,
        options,
      );
    }
  }
  if (cause.type === "application" && cause.origin === "local") {
    return new EndpointError("endpoint-closed", `${what}: closed on this side`, options);
  }
  const lost = connectionLost(cause, peer);
  return new EndpointError(lost.code, `${what}: ${describeClose(cause)}`, options);
}

/** What a handshake fails for, by who has found fault with whom. */
const faults = {
  "raw-key": { theirs: () => "the peer there has another key", ours: "our key" },
  web: {
    theirs: (reason: string) => `its certificate is not to be trusted${quoted(reason)}`,
    ours: "our certificate, or that we have none",
  },
} as const;

/** CONNECTION_REFUSED, RFC 9000 §20.1. */
const connectionRefused = 0x02n;
/** CRYPTO_ERROR of alert 120, RFC 9001 §4.8 and RFC 7301 §3.2. */
const noApplicationProtocol = 0x178n;

/** Whether the peer has ended the connection for what TLS made it think of us (RFC 9001 §4.8). */
export function isRejection(cause: CloseCause): boolean {
  return (
    cause.type === "transport" &&
    cause.origin === "peer" &&
    isCryptoError(cause.code) &&
    cause.code !== noApplicationProtocol
  );
}

/** CRYPTO_ERROR, to which a TLS alert is added (RFC 9001 §4.8). */
const firstCryptoError = 0x100n;

/** CRYPTO_ERROR range, RFC 9000 §20.1. */
function isCryptoError(code: bigint): boolean {
  return code >= firstCryptoError && code <= firstCryptoError + 0xffn;
}

function formatCode(code: bigint): string {
  return `0x${code.toString(16)}`;
}

function quoted(reason: string): string {
  return reason === "" ? "" : ` (${reason})`;
}
