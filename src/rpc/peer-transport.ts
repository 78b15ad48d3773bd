import type { Connection } from "../endpoint/connection.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { EndpointError } from "../endpoint/endpoint-error.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import { parseTarget, type Target } from "../identity/target.ts";
import type { Peer } from "./caller.ts";
import { type CallTransport, ChannelTransport } from "./channel-transport.ts";
import { callError } from "./connect-errors.ts";
import { dialedPeer } from "./dialed-peer.ts";
import { LiveChannel } from "./live-channel.ts";
import { PeerChannel } from "./peer-channel.ts";
import type { PeerServer } from "./peer-server.ts";
import { peerBaseUrl } from "./peer-url.ts";
import type { ResolvedTransportOptions } from "./quic-transport-options.ts";
import type { HttpSession } from "./session.ts";

/** A Connect transport to one peer. */
export interface QuicTransport extends CallTransport {
  /** Whom it calls. */
  readonly peer: EndpointId;
  /** The connection in use; dials when there is none, which calls do by themselves. Rejects with a ConnectError. */
  connect(options?: { readonly signal?: AbortSignal }): Promise<Connection>;
}

export interface PeerTransportOptions {
  readonly endpoint: Endpoint;
  readonly addr: EndpointAddr;
  readonly calls: ResolvedTransportOptions;
  /** What is offered, most wanted first. Default: HTTP/3 between peers alone. */
  readonly alpns?: readonly string[];
  /** Answers the peer on the connection that is dialed. */
  readonly server?: PeerServer | undefined;
  /** There is to be a connection without calls, too. */
  readonly stayConnected?: boolean;
  /** Calls without side effects may be early data. Default false. */
  readonly earlyData?: boolean;
  /** Connections are used that `server` has with the peer already. */
  readonly live?: { readonly waitForReady: boolean };
}

/** A transport on the channel from an endpoint to a peer. */
export class PeerTransport extends ChannelTransport implements QuicTransport {
  readonly peer: EndpointId;
  readonly #shared: PeerChannel;
  readonly #server: PeerServer | undefined;

  constructor(options: PeerTransportOptions) {
    const { endpoint, addr, calls, alpns, server, stayConnected, earlyData, live } = options;
    const { platform } = endpoint;
    const { id } = addr;
    const shared = PeerChannel.acquire(endpoint, addr, alpns);
    if (earlyData === true) {
      shared.useEarlyData();
    }
    shared.keepAlive(stayConnected === true ? { ...calls, keepAlive: "always" } : calls);
    const stopServing = server === undefined ? () => {} : shared.serve(server);
    const peerOn = (session: HttpSession): Peer | undefined => {
      const connection = shared.connectionOf(session);
      return (
        server?.peerOn(session) ?? (connection && dialedPeer({ endpoint, connection, session }))
      );
    };
    const leave = stayConnected === true ? shared.stay(calls.dialTimeoutMs, server) : () => {};
    super({
      channel:
        live === undefined || server === undefined
          ? shared.channel
          : new LiveChannel({
              id,
              peers: server.peers,
              dialed: shared.channel,
              waitForReady: live.waitForReady,
              platform,
            }),
      context: {
        dialTimeoutMs: calls.dialTimeoutMs,
        peerOn,
        earlyData,
        platform,
        hold: () => endpoint.hold(),
      },
      protocol: calls.protocol,
      calls: { ...calls.common, baseUrl: peerBaseUrl(id) },
      release: (grace) => {
        leave();
        stopServing();
        return shared.release(grace);
      },
    });
    this.peer = id;
    this.#shared = shared;
    this.#server = server;
  }

  async connect(options: { readonly signal?: AbortSignal } = {}): Promise<Connection> {
    const session = await this.session(options.signal);
    const connection =
      this.#shared.connectionOf(session) ?? this.#server?.peerOn(session)?.connection;
    if (connection === undefined) {
      const { short } = this.peer;
      throw callError(new EndpointError("connection-lost", `connection to ${short} lost`), short);
    }
    return connection;
  }
}

/** Throws a ConnectError InvalidArgument for a malformed target. */
export function parsePeerAddr(to: Target): EndpointAddr {
  try {
    return parseTarget(to);
  } catch (error) {
    throw callError(error, "peer");
  }
}
