import {
  type ContextKey,
  type ContextValues,
  createContextKey,
  createContextValues,
  type Transport,
} from "@connectrpc/connect";
import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import type { Connection } from "../endpoint/connection.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { LiveTransportOptions } from "./quic-transport-options.ts";

/** A peer that calls; in a reverse tunnel, the one that this side has dialed to open it. */
export interface Peer {
  readonly type: "peer";
  /** Its public key, proven by the connection's handshake. */
  readonly id: EndpointId;
  /** The connection that the call came on, as it is or through a tunnel: its paths, statistics and end. */
  readonly connection: Connection;
  /**
   * A Connect transport back to the peer, over the connection that the call came on, as long as that lives, and then over
   * others of the peer; over no others where this side has dialed without `serve`, and opened a reverse tunnel. It dials
   * nothing, and has nothing to be closed. Calls fail with Unavailable when the connection is lost, and when there is none,
   * unless `waitForReady` is set; with Unimplemented when the peer has dialed without `serve`. Throws TypeError or
   * RangeError for options that cannot be.
   */
  transport(options?: LiveTransportOptions): Transport;
}

/** A caller without a peer's key, as browsers are: it came through {@link PeerRouter.listen} or a bridge. */
export interface WebCaller {
  readonly type: "web";
  /** "3.0", or what a bridge takes: "2.0", "1.1". */
  readonly httpVersion: string;
  /** Where the call came from, when it began. */
  readonly remoteAddress: SocketAddress;
  /**
   * The caller's certificate, verified, and what leads from it to an authority. DER, for `new X509Certificate(…)` of
   * node:crypto; empty when the caller has shown none.
   */
  readonly certificates: readonly Uint8Array[];
}

export type Caller = Peer | WebCaller;

/**
 * The caller in the context of a handler or a server interceptor: `context.values.get(callerKey)`. Every call that comes
 * through a `PeerRouter` has one; elsewhere it is undefined.
 */
export const callerKey: ContextKey<Caller | undefined> = createContextKey<Caller | undefined>(
  undefined,
  { description: "connect-quic caller" },
);

/**
 * The calling peer: `context.values.get(peerKey).id`. Every call of a peer has one; for other calls, reading its fields
 * throws, and {@link callerKey} tells who they are of.
 */
export const peerKey: ContextKey<Peer> = createContextKey<Peer>(
  {
    get type(): never {
      throw noPeer();
    },
    get id(): never {
      throw noPeer();
    },
    get connection(): never {
      throw noPeer();
    },
    transport(): never {
      throw noPeer();
    },
  },
  { description: "connect-quic peer" },
);

/** What handlers find about their caller. */
export function callerValues(caller: Caller): ContextValues {
  const values = createContextValues().set(callerKey, caller);
  return caller.type === "peer" ? values.set(peerKey, caller) : values;
}

/** The caller in messages. */
export function callerName(caller: Caller): string {
  return caller.type === "peer" ? caller.id.short : formatSocketAddress(caller.remoteAddress);
}

function noPeer(): Error {
  return new Error(
    "this call has no peer: it did not come through a PeerRouter, or its caller is none (see callerKey)",
  );
}
