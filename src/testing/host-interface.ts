import type { SocketAddress } from "../base/socket-address.ts";
import type { Packet, Route, Segment, SegmentNode } from "./segment.ts";
import { type LinkOptions, VirtualLink } from "./virtual-link.ts";
import type { VirtualPlatform } from "./virtual-platform.ts";

export interface HostInterfaceOptions<Host> {
  readonly name: string;
  readonly segment: Segment<Host>;
  readonly ipv4: boolean;
  readonly ipv6: boolean;
  readonly link: Partial<LinkOptions>;
  readonly platform: VirtualPlatform;
  readonly owner: Host;
  readonly receive: (packet: Packet) => void;
}

/** Where a host is joined to a segment: its addresses there, and the line in between. */
export class HostInterface<Host> implements SegmentNode<Host> {
  readonly name: string;
  readonly segment: Segment<Host>;
  /** At most one a family. */
  readonly hosts: readonly string[];
  readonly #options: HostInterfaceOptions<Host>;
  readonly #up: VirtualLink;
  readonly #down: VirtualLink;
  #isAttached = true;

  constructor(options: HostInterfaceOptions<Host>) {
    const { name, segment, ipv4, ipv6, link, platform } = options;
    const { nextIpv4, nextIpv6 } = segment.options;
    if (ipv6 && nextIpv6 === undefined) {
      throw new TypeError("a host has IPv6 where its NAT has it: pass ipv6 there as well");
    }
    this.#options = options;
    this.name = name;
    this.segment = segment;
    this.hosts = [
      ...(ipv4 ? [nextIpv4()] : []),
      ...(ipv6 && nextIpv6 !== undefined ? [nextIpv6()] : []),
    ];
    this.#up = new VirtualLink(platform, link);
    this.#down = new VirtualLink(platform, link);
    for (const host of this.hosts) {
      segment.add(host, this);
    }
    segment.join(this);
  }

  hostOf(family: 4 | 6): string | undefined {
    return this.hosts.find((host) => host.includes(":") === (family === 6));
  }

  /** Changes its line, both ways. */
  setLink(link: Partial<LinkOptions>): void {
    this.#up.options = { ...this.#up.options, ...link };
    this.#down.options = { ...this.#down.options, ...link };
  }

  send(packet: Packet): void {
    this.#up.carry(packet.bytes.length, () => this.segment.send(packet));
  }

  sendToAll(packet: Packet): void {
    this.#up.carry(packet.bytes.length, () => this.segment.sendToAll(packet));
  }

  arrive(packet: Packet): void {
    this.#down.carry(packet.bytes.length, () => {
      if (this.#isAttached) {
        this.#options.receive(packet);
      }
    });
  }

  trace(_to: SocketAddress, route: Route): Host | undefined {
    route.forth.push(this.#down);
    route.back.unshift(this.#up);
    return this.#options.owner;
  }

  /** The host that a TCP connection from here would reach. */
  traceOut(to: SocketAddress, route: Route): Host | undefined {
    route.forth.push(this.#up);
    route.back.unshift(this.#down);
    return this.segment.trace(to, route);
  }

  /** Idempotent. What is on its way to it gets lost. */
  detach(): void {
    this.#isAttached = false;
    for (const host of this.hosts) {
      this.segment.remove(host, this);
    }
    this.segment.leave(this);
  }
}
