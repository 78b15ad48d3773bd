import type { SocketAddress } from "../base/socket-address.ts";
import type { DiscoveryNetwork } from "../discovery/discovery-network.ts";
import type { OpenMessageChannel } from "../relay/message-channel.ts";
import type { BindSocket } from "./datagram-socket.ts";

/** An address of an interface of this host. */
export interface InterfaceAddress {
  /** Name of the interface: `eth0`. */
  readonly interfaceName: string;
  /** IPv6 without a scope. */
  readonly host: string;
  readonly family: 4 | 6;
  /** Loopback. */
  readonly internal: boolean;
  /**
   * An IPv6 address that is temporary (RFC 8981) or deprecated (RFC 4862 §5.5.4), so not one to tell others of. Absent
   * where the system does not say; Node.js tells on Linux alone.
   */
  readonly shortLived?: boolean;
}

export interface HttpRequest {
  readonly method: "GET" | "PUT" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal: AbortSignal;
  /** A longer answer is an error. Bytes. */
  readonly maxBytes: number;
  /** Authorities in place of the system's, certificates in DER. */
  readonly authorities?: readonly Uint8Array[];
  /** False: a redirect is an answer like any other. Default true. */
  readonly followRedirects?: boolean;
}

export interface HttpResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What an endpoint has of the world besides {@link Platform}: a test network plays it. */
export interface Network extends DiscoveryNetwork {
  /** Opens UDP sockets. */
  readonly bindSocket: BindSocket;
  /** The addresses of all interfaces now. */
  interfaces(): readonly InterfaceAddress[];
  /** The addresses of a host name, by the system's resolver. Rejects when there are none. */
  resolveHost(host: string, port: number): Promise<SocketAddress[]>;
  /** Opens WebSockets. */
  readonly openMessageChannel: OpenMessageChannel;
  /** One HTTP request. Rejects when there is no answer. */
  request(url: URL, request: HttpRequest): Promise<HttpResponse>;
}
