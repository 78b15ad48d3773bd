import type { Connection } from "../endpoint/connection.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { Peer } from "./caller.ts";
import type { Channel } from "./channel.ts";
import { createLiveTransport } from "./connected-peer.ts";

export interface DialedPeerOptions {
  readonly endpoint: Pick<Endpoint, "hold" | "platform">;
  readonly connection: Connection;
  /** The way to it, which dials again when the connection is lost. */
  readonly channel: Channel;
}

/** A peer that this side has dialed, for handlers of what it calls through a tunnel. */
export function dialedPeer({ endpoint, connection, channel }: DialedPeerOptions): Peer {
  const id = connection.remoteId;
  return {
    type: "peer",
    id,
    connection,
    transport: (options) =>
      createLiveTransport({ endpoint, id, peers: noOthers, dialed: channel }, options),
  };
}

/** It is reached by dialing alone. */
const noOthers = { sessionOf: () => undefined, peerOn: () => undefined, watch: () => () => {} };
