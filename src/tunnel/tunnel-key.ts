import { type ContextKey, createContextKey } from "@connectrpc/connect";

/** The tunnel that a call came through, for its handler. */
export interface TunnelOfCall {
  /** "forward": the caller opened the tunnel. "reverse": this side did, and is called. */
  readonly direction: "forward" | "reverse";
  /** Headers of the request that opened the tunnel. */
  readonly header: Headers;
  /** Headers of the response to it; in a reverse tunnel, what the other side says of itself. */
  readonly responseHeader: Headers;
}

/**
 * In the context of a handler or a server interceptor: the tunnel that the call came through; undefined when it came
 * through none. In a forward tunnel, the values of the call that opened the tunnel are in the context as well, so a
 * `peerKey` or what an interceptor has found out about the caller. In a reverse tunnel to a peer, that one is
 * at `peerKey` and `callerKey`; over transports to others than peers there is nobody.
 */
export const tunnelKey: ContextKey<TunnelOfCall | undefined> = createContextKey<
  TunnelOfCall | undefined
>(undefined, { description: "connect-quic tunnel" });
