import type { SocketAddress } from "../base/socket-address.ts";

export interface DiscoveryRequest {
  readonly method: "GET" | "PUT";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  readonly signal: AbortSignal;
  /** A longer answer is an error. Bytes. */
  readonly maxBytes: number;
}

export interface DiscoveryResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

export interface ResolveTxtOptions {
  /** In place of the system's. Default: those. */
  readonly servers?: readonly SocketAddress[];
  readonly signal: AbortSignal;
}

/**
 * The TXT records of a name, of each its character strings joined; none where the name does not exist or has none.
 * Rejects where no server has answered, and with the signal's reason.
 */
export type ResolveTxt = (
  name: string,
  options: ResolveTxtOptions,
) => Promise<readonly Uint8Array[]>;

/** A port that takes part in multicast groups, for DNS without a server (RFC 6762). */
export interface MulticastSocket {
  /** Sends to the groups on all interfaces. `bytes` is copied. Never throws: what cannot be sent is lost. */
  send(bytes: Uint8Array): void;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface DatagramHandler {
  /** `bytes` is borrowed for the time of the call. Of a group, what we send ourselves comes too. */
  datagram(from: SocketAddress, bytes: Uint8Array): void;
  /** The socket broke and delivers nothing more. */
  failed(error: Error): void;
}

export interface MulticastOptions {
  /** Each is joined on all interfaces that have its family. All have the same port, on which is listened too. */
  readonly groups: readonly SocketAddress[];
  /** Routers that a datagram may pass. */
  readonly ttl: number;
}

/** Takes part in multicast groups. Rejects where that is possible on no interface. */
export type OpenMulticast = (
  options: MulticastOptions,
  handler: DatagramHandler,
) => Promise<MulticastSocket>;

/** A UDP socket. */
export interface DiscoverySocket {
  readonly localAddresses: readonly SocketAddress[];
  /** Sends one datagram of `segmentSize` bytes, or several. `bytes` is borrowed for the call. Never throws. */
  send(to: SocketAddress, bytes: Uint8Array, segmentSize: number): void;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Opens a UDP socket; rejects with the system's error when an address cannot be bound. */
export type BindDiscoverySocket = (
  addresses: readonly SocketAddress[],
  handler: DatagramHandler,
) => Promise<DiscoverySocket>;

/** What the sources have of the network. `Network` of `src/net/` is one. */
export interface DiscoveryNetwork {
  /** One HTTP request. Rejects when there is no answer. Redirects are followed. */
  request(url: URL, request: DiscoveryRequest): Promise<DiscoveryResponse>;
  /** The addresses of a host name. Rejects when there are none. */
  resolveHost(host: string, port: number): Promise<SocketAddress[]>;
  readonly bindSocket: BindDiscoverySocket;
  readonly resolveTxt: ResolveTxt;
  readonly openMulticast: OpenMulticast;
}
