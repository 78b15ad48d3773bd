import type { SocketAddress } from "../base/socket-address.ts";

/** Where datagrams come in and go out: UDP, or a simulated network. */
export interface DatagramSocket {
  /** Bound addresses, one per IP family; the host may be unspecified (0.0.0.0, ::). */
  readonly localAddresses: readonly SocketAddress[];
  /**
   * Sends one datagram, or several of `segmentSize` bytes each that lie one behind the other in `bytes` (the last may be
   * shorter). `bytes` is borrowed for the time of the call. Never throws: what cannot be sent is lost, as on any network.
   */
  send(to: SocketAddress, bytes: Uint8Array, segmentSize: number): void;
  /** Whether the socket keeps the process alive. It does not at first. */
  setRef(ref: boolean): void;
  /** Idempotent. Resolves when the ports are free again. */
  close(): Promise<void>;
}

export interface DatagramSocketHandler {
  /** `bytes` is borrowed for the time of the call. Equal senders come as the same object as long as they are remembered. */
  datagram(from: SocketAddress, bytes: Uint8Array): void;
  /** The socket broke and delivers nothing more. */
  failed(error: Error): void;
}

/** Opens sockets; rejects with the system's error when an address cannot be bound. */
export type BindSocket = (
  addresses: readonly SocketAddress[],
  handler: DatagramSocketHandler,
) => Promise<DatagramSocket>;
