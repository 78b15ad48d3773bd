import { type ContextKey, createContextKey } from "@connectrpc/connect";
import type { Connection } from "../endpoint/connection.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";

/** Who is calling. */
export interface Peer {
  /** The caller's public key, proven by the connection's handshake. */
  readonly id: EndpointId;
  /** The connection that the call came on: its paths, statistics and end. */
  readonly connection: Connection;
}

/**
 * The caller in the context of a handler or a server interceptor: `context.values.get(peerKey).id`.
 * Every call that comes through a `PeerRouter` has one; elsewhere, reading its fields throws.
 */
export const peerKey: ContextKey<Peer> = createContextKey<Peer>(
  {
    get id(): never {
      throw noPeer();
    },
    get connection(): never {
      throw noPeer();
    },
  },
  { description: "connect-quic peer" },
);

function noPeer(): Error {
  return new Error("this call has no peer: it did not come through a PeerRouter");
}
