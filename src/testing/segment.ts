import type { SocketAddress } from "../base/socket-address.ts";
import type { VirtualLink } from "./virtual-link.ts";

/** A UDP datagram on its way through a simulated network. */
export interface Packet {
  /** The host that has sent it, whatever became of its address since. */
  readonly origin: object;
  readonly from: SocketAddress;
  readonly to: SocketAddress;
  readonly bytes: Uint8Array;
}

/** The way of a TCP connection, as far as it is known. */
export class Route {
  /** From who opened the connection to the other side. */
  readonly forth: VirtualLink[] = [];
  readonly back: VirtualLink[] = [];
  /** The NATs on the way, each with how often it was rebooted by now. */
  readonly memories: (readonly [nat: object, reboots: number])[] = [];

  /** Whether connections of the one are still known to the NATs of the other. */
  remembers(earlier: Route): boolean {
    return (
      this.memories.length === earlier.memories.length &&
      this.memories.every(([nat, reboots], index) => {
        const [earlierNat, earlierReboots] = earlier.memories[index] ?? [];
        return nat === earlierNat && reboots === earlierReboots;
      })
    );
  }
}

/** What has an address on a segment: a host, or a router that stands for those behind it. */
export interface SegmentNode<Host> {
  arrive(packet: Packet): void;
  /** The host that a TCP connection to `to` would reach this way. Extends `route`. */
  trace(to: SocketAddress, route: Route): Host | undefined;
}

/** The way out of a segment, towards the internet. */
export interface Gateway<Host> {
  forward(packet: Packet): void;
  traceOut(to: SocketAddress, route: Route): Host | undefined;
  /** Tells those outside that `host` is behind it. */
  announce(host: string): void;
  withdraw(host: string): void;
  /** Whether the internet can be reached through it now. */
  readonly isOnline: boolean;
}

export interface SegmentOptions {
  /** Names the next IPv4 address that is free. */
  readonly nextIpv4: () => string;
  /** The same for IPv6; undefined: there is none here. */
  readonly nextIpv6: (() => string) | undefined;
  /** Whether multicast reaches all hosts, as within a LAN. */
  readonly hasMulticast: boolean;
  /** True for the internet itself. */
  readonly isInternet: boolean;
}

/** Where hosts reach each other without a router: a LAN, or the internet as a whole. */
export class Segment<Host> {
  readonly options: SegmentOptions;
  gateway: Gateway<Host> | undefined;
  readonly #nodes = new Map<string, SegmentNode<Host>>();
  /** Hosts that take part in multicast. */
  readonly #members = new Set<SegmentNode<Host>>();

  constructor(options: SegmentOptions) {
    this.options = options;
  }

  get isOnline(): boolean {
    return this.options.isInternet || this.gateway?.isOnline === true;
  }

  add(host: string, node: SegmentNode<Host>): void {
    this.#nodes.set(host, node);
    if (host.includes(":")) {
      // There is no NAT for IPv6, so everybody has to know the way.
      this.gateway?.announce(host);
    }
  }

  remove(host: string, node: SegmentNode<Host>): void {
    if (this.#nodes.get(host) === node) {
      this.#nodes.delete(host);
      this.gateway?.withdraw(host);
    }
  }

  has(host: string): boolean {
    return this.#nodes.has(host);
  }

  join(node: SegmentNode<Host>): void {
    this.#members.add(node);
  }

  leave(node: SegmentNode<Host>): void {
    this.#members.delete(node);
  }

  send(packet: Packet): void {
    const node = this.#nodes.get(packet.to.host);
    if (node !== undefined) {
      node.arrive(packet);
    } else {
      this.gateway?.forward(packet);
    }
  }

  sendToAll(packet: Packet): void {
    for (const node of this.options.hasMulticast ? this.#members : []) {
      node.arrive(packet);
    }
  }

  trace(to: SocketAddress, route: Route): Host | undefined {
    const node = this.#nodes.get(to.host);
    return node === undefined ? this.gateway?.traceOut(to, route) : node.trace(to, route);
  }
}
