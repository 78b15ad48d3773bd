import type { Connection } from "../endpoint/connection.ts";
import { Endpoint } from "../endpoint/endpoint.ts";
import { EndpointError } from "../endpoint/endpoint-error.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import { parseTarget } from "../identity/target.ts";
import { type CallTransport, ChannelTransport } from "./channel-transport.ts";
import { callError } from "./connect-errors.ts";
import { PeerChannel } from "./peer-channel.ts";
import {
  type QuicTransportOptions,
  resolveTransportOptions,
  type UrlTransportOptions,
} from "./quic-transport-options.ts";
import { isUrl, UrlTransport } from "./url-transport.ts";

/** A Connect transport to one peer. */
export interface QuicTransport extends CallTransport {
  /** Whom it calls. */
  readonly peer: EndpointId;
  /** The connection in use; dials when there is none, which calls do by themselves. Rejects with a ConnectError. */
  connect(options?: { readonly signal?: AbortSignal }): Promise<Connection>;
}

/**
 * Creates a transport for Connect clients that calls the peer `to`, which serves with a {@link PeerRouter}.
 *
 * ```ts
 * await using transport = createQuicTransport({ endpoint, to: ticket });
 * const eliza = createClient(ElizaService, transport);
 * ```
 *
 * Nothing is sent before the first call. Transports of one endpoint to one peer share a connection; when it is lost, the
 * next call dials again. A call keeps the process alive, a transport does not.
 *
 * Throws a ConnectError InvalidArgument when `to` is malformed, and TypeError or RangeError for other options.
 */
export function createQuicTransport(options: QuicTransportOptions): QuicTransport;
/**
 * Creates a transport for Connect clients that calls an HTTP/3 server by its URL, and believes its certificate when an
 * authority vouches for it.
 *
 * ```ts
 * await using transport = createQuicTransport({ to: "https://demo.example:8443" });
 * ```
 *
 * It has a connection of its own, and no endpoint. Throws as above, and IdentityError for PEM that is none.
 */
export function createQuicTransport(options: UrlTransportOptions): UrlTransport;
export function createQuicTransport(
  options: QuicTransportOptions | UrlTransportOptions,
): QuicTransport | UrlTransport {
  return isUrl(options.to)
    ? new UrlTransport(options as UrlTransportOptions)
    : new PeerTransport(options as QuicTransportOptions);
}

class PeerTransport extends ChannelTransport implements QuicTransport {
  readonly peer: EndpointId;
  readonly #shared: PeerChannel;

  constructor(options: QuicTransportOptions) {
    const { endpoint } = options;
    if (!(endpoint instanceof Endpoint)) {
      throw new TypeError("option endpoint: expected an Endpoint");
    }
    const resolved = resolveTransportOptions(options);
    const addr = parseAddr(options.to);
    const shared = PeerChannel.acquire(endpoint, addr);
    shared.keepAlive(resolved);
    super({
      channel: shared.channel,
      context: {
        dialTimeoutMs: resolved.dialTimeoutMs,
        platform: endpoint.platform,
        hold: () => endpoint.hold(),
      },
      protocol: resolved.protocol,
      calls: { ...resolved.common, baseUrl: `https://${addr.id.toBase32()}.iroh.invalid` },
      release: (grace) => shared.release(grace),
    });
    this.peer = addr.id;
    this.#shared = shared;
  }

  async connect(options: { readonly signal?: AbortSignal } = {}): Promise<Connection> {
    const session = await this.session(options.signal);
    const connection = this.#shared.connectionOf(session);
    if (connection === undefined) {
      const { short } = this.peer;
      throw callError(new EndpointError("connection-lost", `connection to ${short} lost`), short);
    }
    return connection;
  }
}

function parseAddr(to: QuicTransportOptions["to"]): EndpointAddr {
  try {
    return parseTarget(to);
  } catch (error) {
    throw callError(error, "peer");
  }
}
