import type { SocketAddress } from "../../src/base/socket-address.ts";
import { formatSocketAddress } from "../../src/base/socket-address.ts";

/** Looks at a datagram as it is sent: undefined loses it, and what is returned travels in its place. */
export type LiveTap = (datagram: {
  readonly from: SocketAddress;
  readonly to: SocketAddress;
  readonly bytes: Uint8Array;
}) => Uint8Array | undefined;

type Receive = (from: SocketAddress, bytes: Uint8Array) => void;

/**
 * Datagrams within the process at the speed of the event loop, for engines that read the real clock. Each arrives in the
 * turn after it was sent, and none gets lost but by `tap`.
 */
export class LiveNetwork {
  /** Sees all datagrams. */
  tap: LiveTap | undefined;
  readonly #sockets = new Map<string, Receive>();
  #waiting: (() => void)[] = [];

  /** Returns what sends from `address`: `transmit` of an engine. */
  bind(
    address: SocketAddress,
    receive: Receive,
  ): (to: SocketAddress, bytes: Uint8Array, segmentSize: number) => void {
    this.#sockets.set(formatSocketAddress(address), receive);
    return (to, bytes, segmentSize) => {
      for (let start = 0; start < bytes.length; start += segmentSize) {
        this.#send(address, to, bytes.slice(start, start + segmentSize));
      }
    };
  }

  #send(from: SocketAddress, to: SocketAddress, sent: Uint8Array): void {
    const bytes = this.tap === undefined ? sent : this.tap({ from, to, bytes: sent });
    if (bytes === undefined) {
      return;
    }
    if (this.#waiting.length === 0) {
      setImmediate(() => {
        const deliveries = this.#waiting;
        this.#waiting = [];
        for (const deliver of deliveries) {
          deliver();
        }
      });
    }
    this.#waiting.push(() => this.#sockets.get(formatSocketAddress(to))?.(from, bytes));
  }
}
