import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import { type LinkOptions, VirtualLink } from "./virtual-link.ts";
import { VirtualPlatform } from "./virtual-platform.ts";

export interface VirtualNetworkOptions {
  /** The same seed makes the same run. Default 1. */
  readonly seed?: number;
  /** How datagrams are treated where nothing else is said. */
  readonly link?: Partial<LinkOptions>;
}

export interface VirtualDatagram {
  readonly from: SocketAddress;
  readonly to: SocketAddress;
  readonly bytes: Uint8Array;
}

/** Looks at a datagram as it is sent: undefined loses it, and what is returned travels in its place. */
export type Tap = (datagram: VirtualDatagram) => Uint8Array | undefined;

/**
 * A network of UDP sockets within a process, in virtual time: what would take hours is played in milliseconds, and
 * played again for the same seed.
 *
 * ```ts
 * const network = new VirtualNetwork({ seed: 7, link: { delayMs: 20, loss: 0.3 } });
 * const socket = network.bind(address, (from, bytes) => endpoint.receive(from, bytes));
 * const endpoint = noq.createEndpoint({ platform: network.platform, transmit: socket.transmit, … });
 * network.platform.run(() => isDone);
 * ```
 */
export class VirtualNetwork {
  readonly platform: VirtualPlatform;
  /** Sees all datagrams, also those that will be lost. */
  tap: Tap | undefined;
  readonly #link: Partial<LinkOptions>;
  readonly #links = new Map<string, VirtualLink>();
  readonly #sockets = new Map<string, VirtualSocket>();

  constructor(options: VirtualNetworkOptions = {}) {
    this.platform = new VirtualPlatform(options.seed ?? 1);
    this.#link = options.link ?? {};
  }

  /** A socket at `address`. Throws when there is one. */
  bind(
    address: SocketAddress,
    receive: (from: SocketAddress, bytes: Uint8Array) => void,
  ): VirtualSocket {
    const socket = new VirtualSocket(address, receive, {
      send: (datagram) => this.#send(datagram),
      release: (released) => this.#sockets.delete(formatSocketAddress(released)),
      claim: (claimed) => this.#claim(claimed, socket),
    });
    this.#claim(address, socket);
    return socket;
  }

  /** Changes how datagrams from one address to another are treated, one way. */
  setLink(from: SocketAddress, to: SocketAddress, link: Partial<LinkOptions>): void {
    const options = { ...this.#link, ...link };
    this.#links.set(linkKey(from, to), new VirtualLink(this.platform, options));
  }

  #claim(address: SocketAddress, socket: VirtualSocket): void {
    const key = formatSocketAddress(address);
    if (this.#sockets.has(key)) {
      throw new Error(`cannot bind ${key}: address in use`);
    }
    this.#sockets.set(key, socket);
  }

  #send(datagram: VirtualDatagram): void {
    const bytes = this.tap === undefined ? datagram.bytes : this.tap(datagram);
    if (bytes !== undefined) {
      this.#linkOf(datagram).carry(bytes.length, () =>
        this.#sockets.get(formatSocketAddress(datagram.to))?.receive(datagram.from, bytes),
      );
    }
  }

  #linkOf({ from, to }: VirtualDatagram): VirtualLink {
    const key = linkKey(from, to);
    let link = this.#links.get(key);
    if (link === undefined) {
      link = new VirtualLink(this.platform, this.#link);
      this.#links.set(key, link);
    }
    return link;
  }
}

interface Wire {
  send(datagram: VirtualDatagram): void;
  claim(address: SocketAddress): void;
  release(address: SocketAddress): void;
}

export class VirtualSocket {
  /** What arrives; the receiver owns the bytes. */
  readonly receive: (from: SocketAddress, bytes: Uint8Array) => void;
  readonly #wire: Wire;
  #address: SocketAddress;
  #isClosed = false;

  constructor(
    address: SocketAddress,
    receive: (from: SocketAddress, bytes: Uint8Array) => void,
    wire: Wire,
  ) {
    this.#address = address;
    this.receive = receive;
    this.#wire = wire;
  }

  get address(): SocketAddress {
    return this.#address;
  }

  /** Sends copies of the datagrams in `bytes`, each `segmentSize` long, the last one possibly shorter. */
  readonly transmit = (to: SocketAddress, bytes: Uint8Array, segmentSize: number): void => {
    for (let start = 0; start < bytes.length && !this.#isClosed; start += segmentSize) {
      const copy = bytes.slice(start, start + segmentSize);
      this.#wire.send({ from: this.#address, to, bytes: copy });
    }
  };

  /** Goes on under another address, as after a NAT has forgotten the old one. Throws when that is in use. */
  rebind(address: SocketAddress): void {
    this.#wire.claim(address);
    this.#wire.release(this.#address);
    this.#address = address;
  }

  close(): void {
    this.#isClosed = true;
    this.#wire.release(this.#address);
  }
}

function linkKey(from: SocketAddress, to: SocketAddress): string {
  return `${formatSocketAddress(from)} ${formatSocketAddress(to)}`;
}
