import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import type { DatagramSocket, DatagramSocketHandler } from "../net/datagram-socket.ts";
import { isMapped } from "../net/mapped-addresses.ts";

export interface HostPortsOptions {
  /** Whether an address is one of the host now. */
  readonly owns: (host: string) => boolean;
  readonly hasFamily: (family: 4 | 6) => boolean;
  /** Sends a datagram from a socket that is bound to `from`. */
  readonly send: (from: SocketAddress, to: SocketAddress, bytes: Uint8Array) => void;
  /** From 0 up to 1. */
  readonly random: () => number;
}

/** As Linux has them. */
const firstEphemeralPort = 32_768;
const ephemeralPorts = 28_232;

interface Bound {
  readonly address: SocketAddress;
  readonly handler: DatagramSocketHandler;
}

/** The UDP ports of a host, with the rules of `bindUdp`. */
export class HostPorts {
  readonly #options: HostPortsOptions;
  readonly #bound = new Set<Bound>();

  constructor(options: HostPortsOptions) {
    this.#options = options;
  }

  /** Throws as the system does for addresses that cannot be had. */
  bind(addresses: readonly SocketAddress[], handler: DatagramSocketHandler): DatagramSocket {
    const bound: Bound[] = [];
    for (const address of addresses) {
      const isOptional = address.family === 6 && bound.length > 0;
      if (isOptional && !this.#options.hasFamily(6)) {
        continue;
      }
      const samePort = address.port === 0 ? bound[0]?.address.port : undefined;
      const entry = { address: this.#choose(address, samePort), handler };
      this.#bound.add(entry);
      bound.push(entry);
    }
    return this.#socket(bound);
  }

  /** Gives a datagram to the socket at `to`. */
  deliver(from: SocketAddress, to: SocketAddress, bytes: Uint8Array): void {
    this.#at(to)?.handler.datagram(from, bytes);
  }

  #choose(wanted: SocketAddress, samePort: number | undefined): SocketAddress {
    const { host, family } = wanted;
    if (!isUnspecified(host) && !this.#options.owns(host)) {
      throw new Error(`bind EADDRNOTAVAIL ${host}`);
    }
    const isFree = (port: number): boolean =>
      ![...this.#bound].some(
        ({ address }) =>
          address.port === port &&
          address.family === family &&
          (address.host === host || isUnspecified(address.host) || isUnspecified(host)),
      );
    if (wanted.port !== 0) {
      if (!isFree(wanted.port)) {
        throw new Error(`bind EADDRINUSE ${host}:${wanted.port}`);
      }
      return wanted;
    }
    let port = samePort ?? this.#randomPort();
    while (!isFree(port)) {
      port = this.#randomPort();
    }
    return socketAddress(host, port);
  }

  #randomPort(): number {
    return firstEphemeralPort + Math.floor(this.#options.random() * ephemeralPorts);
  }

  #at(to: SocketAddress): Bound | undefined {
    return [...this.#bound].find(
      ({ address }) =>
        address.port === to.port &&
        address.family === to.family &&
        (address.host === to.host || isUnspecified(address.host)),
    );
  }

  #socket(bound: readonly Bound[]): DatagramSocket {
    return {
      localAddresses: bound.map(({ address }) => address),
      send: (to, bytes, segmentSize) => {
        const from = bound.find(({ address }) => address.family === to.family);
        if (from === undefined || to.port === 0 || isMapped(to) || !this.#bound.has(from)) {
          return;
        }
        for (let start = 0; start < bytes.length; start += segmentSize) {
          this.#options.send(from.address, to, bytes.slice(start, start + segmentSize));
        }
      },
      setRef: () => {},
      close: async () => {
        for (const entry of bound) {
          this.#bound.delete(entry);
        }
      },
    };
  }
}

function isUnspecified(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}
