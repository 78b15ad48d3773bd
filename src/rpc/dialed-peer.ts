import type { Connection } from "../endpoint/connection.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Peer } from "./caller.ts";
import { createLiveTransport, type LiveTransportParts } from "./connected-peer.ts";
import type { HttpSession } from "./session.ts";

export interface DialedPeerOptions {
  readonly endpoint: Pick<Endpoint, "hold" | "platform">;
  readonly connection: Connection;
  /** The connection as calls see it. */
  readonly session: HttpSession;
}

/** A peer that this side has dialed, for handlers of what it calls through a tunnel. Who dials, and closes, are others. */
export function dialedPeer({ endpoint, connection, session }: DialedPeerOptions): Peer {
  const id = connection.remoteId;
  const peers: LiveTransportParts["peers"] = {
    sessionOf: () => (session.state === "open" ? session : undefined),
    peerOn: (_, other) => (other === session ? peer : undefined),
    watch: () => () => {},
  };
  const peer: Peer = {
    type: "peer",
    id,
    connection,
    transport: (options) => createLiveTransport({ endpoint, id, peers }, options),
  };
  return peer;
}
