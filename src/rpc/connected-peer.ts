import type { Transport } from "@connectrpc/connect";
import type { Connection } from "../endpoint/connection.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { Peer } from "./caller.ts";
import { isBoolean } from "./check-options.ts";
import { ClientCall, type ClientCallContext } from "./client-call.ts";
import { LiveChannel, type LiveChannelOptions } from "./live-channel.ts";
import type { LivePeer, PeerRegistry } from "./live-peers.ts";
import { peerBaseUrl } from "./peer-url.ts";
import { createProtocolTransport } from "./protocol-transport.ts";
import { type LiveTransportOptions, resolveTransportOptions } from "./quic-transport-options.ts";
import type { HttpSession, LiveSession } from "./session.ts";

export interface ConnectedPeerOptions {
  readonly endpoint: Pick<Endpoint, "hold" | "platform">;
  readonly connection: Connection;
  readonly peers: PeerRegistry;
  /** HTTP/3 on the connection. */
  readonly session: () => LiveSession;
}

/** A peer at the other end of a connection, as its calls find it. */
export class ConnectedPeer implements LivePeer {
  readonly type = "peer";
  readonly connection: Connection;
  readonly #options: ConnectedPeerOptions;
  /** Made once: it knows the methods that were called. */
  #plain: Transport | undefined;

  constructor(options: ConnectedPeerOptions) {
    this.connection = options.connection;
    this.#options = options;
  }

  get id(): EndpointId {
    return this.connection.remoteId;
  }

  get session(): LiveSession {
    return this.#options.session();
  }

  transport(options?: LiveTransportOptions): Transport {
    if (options !== undefined) {
      return this.#createTransport(options);
    }
    this.#plain ??= this.#createTransport({});
    return this.#plain;
  }

  #createTransport(options: LiveTransportOptions): Transport {
    const { endpoint, peers } = this.#options;
    return createLiveTransport({ endpoint, id: this.id, peers, preferred: this }, options);
  }
}

export interface LiveTransportParts extends Pick<ConnectedPeerOptions, "endpoint"> {
  /** Where its connections are found, and what is known of each. */
  readonly peers: LiveChannelOptions["peers"] & {
    peerOn(id: EndpointId, session: HttpSession): Peer | undefined;
  };
  /** The peer to call. */
  readonly id: EndpointId;
  /** The connection that is used before others of the peer, as long as it lives. */
  readonly preferred?: LivePeer;
}

/** A transport over the connections that there are to a peer, see `Peer.transport`. */
export function createLiveTransport(
  { endpoint, id, peers, preferred }: LiveTransportParts,
  options: LiveTransportOptions = {},
): Transport {
  const { platform } = endpoint;
  isBoolean("waitForReady", options.waitForReady);
  const { common, dialTimeoutMs, protocol } = resolveTransportOptions(options);
  const context: ClientCallContext = {
    channel: new LiveChannel({
      id,
      peers,
      preferred,
      waitForReady: options.waitForReady ?? false,
      platform,
    }),
    dialTimeoutMs,
    peerOn: (session) => peers.peerOn(id, session),
    platform,
    hold: () => endpoint.hold(),
  };
  return createProtocolTransport(
    protocol,
    { ...common, baseUrl: peerBaseUrl(id) },
    (request, response) => new ClientCall(context, request, response, () => {}).start(),
  );
}
