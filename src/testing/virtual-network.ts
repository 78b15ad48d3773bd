import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import { VirtualPlatform } from "./virtual-platform.ts";

/** How the network treats a datagram from one address to another. */
export interface LinkOptions {
  /** Time that a datagram takes. Default 10. */
  readonly delayMs: number;
  /** Up to this much more, different for each datagram, so that they overtake each other. Default 0. */
  readonly jitterMs: number;
  /** Share of datagrams that get lost, 0 to 1. Default 0. */
  readonly loss: number;
  /** Share of datagrams that arrive twice, 0 to 1. Default 0. */
  readonly duplication: number;
  /** Longer datagrams get lost. Default 1452. */
  readonly mtu: number;
  /** Bytes per second. Default: no limit. */
  readonly bandwidth: number;
  /** Bytes that wait for `bandwidth` at most; more get lost. Default 256 KiB. */
  readonly queueBytes: number;
}

export const defaultLink: LinkOptions = {
  delayMs: 10,
  jitterMs: 0,
  loss: 0,
  duplication: 0,
  mtu: 1_452,
  bandwidth: Number.POSITIVE_INFINITY,
  queueBytes: 256 * 1024,
};

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
  readonly #link: LinkOptions;
  readonly #links = new Map<string, Partial<LinkOptions>>();
  readonly #sockets = new Map<string, VirtualSocket>();
  /** By link: when all that waits for its bandwidth will have left. */
  readonly #busyUntil = new Map<string, number>();

  constructor(options: VirtualNetworkOptions = {}) {
    this.platform = new VirtualPlatform(options.seed ?? 1);
    this.#link = { ...defaultLink, ...options.link };
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
    this.#links.set(linkKey(from, to), link);
  }

  #claim(address: SocketAddress, socket: VirtualSocket): void {
    const key = formatSocketAddress(address);
    if (this.#sockets.has(key)) {
      throw new Error(`cannot bind ${key}: address in use`);
    }
    this.#sockets.set(key, socket);
  }

  #send(datagram: VirtualDatagram): void {
    const key = linkKey(datagram.from, datagram.to);
    const link: LinkOptions = { ...this.#link, ...this.#links.get(key) };
    const bytes = this.tap === undefined ? datagram.bytes : this.tap(datagram);
    if (bytes === undefined || bytes.length > link.mtu || this.platform.random() < link.loss) {
      return;
    }
    const waitMs = this.#queue(key, link, bytes.length);
    if (waitMs === undefined) {
      return;
    }
    const copies = this.platform.random() < link.duplication ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const delayMs = waitMs + link.delayMs + this.platform.random() * link.jitterMs;
      this.platform.setTimer(roundUpToMicroseconds(delayMs), () => {
        this.#sockets.get(formatSocketAddress(datagram.to))?.receive(datagram.from, bytes);
      });
    }
  }

  /** How long a datagram waits until the link has sent it; undefined when it does not fit into the queue. */
  #queue(key: string, link: LinkOptions, length: number): number | undefined {
    if (link.bandwidth === Number.POSITIVE_INFINITY) {
      return 0;
    }
    const now = this.platform.now();
    const start = Math.max(this.#busyUntil.get(key) ?? 0, now);
    const queued = ((start - now) / 1_000) * link.bandwidth;
    if (queued + length > link.queueBytes) {
      return undefined;
    }
    const end = start + (length / link.bandwidth) * 1_000;
    this.#busyUntil.set(key, end);
    return end - now;
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

/** Clocks of protocols count in whole units, and a moment that lies between two of them comes too early. */
function roundUpToMicroseconds(ms: number): number {
  return Math.ceil(ms * 1_000) / 1_000;
}
