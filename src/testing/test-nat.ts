import type { SocketAddress } from "../base/socket-address.ts";
import { formatSocketAddress, socketAddress } from "../base/socket-address.ts";
import { Contacts, type NatBehaviour, NatTable } from "./nat-table.ts";
import type { Gateway, Packet, Route, Segment, SegmentNode } from "./segment.ts";
import type { TestHost } from "./test-host.ts";
import { type LinkOptions, VirtualLink } from "./virtual-link.ts";
import type { VirtualPlatform } from "./virtual-platform.ts";

/**
 * Kinds of NATs that are common:
 *
 * - "home": as Linux routers: one outer address and port for all that an inner one sends to, in from where was sent to only
 * - "full-cone": the same, and whoever knows the outer address is let in
 * - "symmetric": another outer port for each address that is sent to; two of them cannot be punched through
 * - "carrier": as mobile networks: forgets after a minute, hosts inside reach each other at outer addresses
 */
export type NatKind = "home" | "full-cone" | "symmetric" | "carrier";

export const natKinds: Readonly<Record<NatKind, NatBehaviour>> = {
  home: {
    mapping: "endpoint-independent",
    filtering: "address-and-port-dependent",
    hairpinning: false,
    portPreservation: true,
    mappingTimeoutMs: 120_000,
  },
  "full-cone": {
    mapping: "endpoint-independent",
    filtering: "endpoint-independent",
    hairpinning: true,
    portPreservation: true,
    mappingTimeoutMs: 120_000,
  },
  symmetric: {
    mapping: "address-and-port-dependent",
    filtering: "address-and-port-dependent",
    hairpinning: false,
    portPreservation: false,
    mappingTimeoutMs: 120_000,
  },
  carrier: {
    mapping: "endpoint-independent",
    filtering: "address-and-port-dependent",
    hairpinning: true,
    portPreservation: false,
    mappingTimeoutMs: 60_000,
  },
};

/** Each setting of {@link NatBehaviour} may stand here and wins over that of `kind`. */
export interface NatOptions extends Partial<NatBehaviour> {
  /** Default "home". */
  readonly kind?: NatKind;
  /** The NAT that this one is behind. Default: none, its outer address is one of the internet. */
  readonly behind?: TestNat;
  /** Its line to the outside, the same in both directions. Default: 10 ms, nothing lost. */
  readonly link?: Partial<LinkOptions>;
  /**
   * Whether hosts behind it have IPv6 as well, with addresses that everybody knows and without translation; who is let in
   * is for `filtering` all the same. Default false.
   */
  readonly ipv6?: boolean;
  /** "blocked": no UDP gets through, as in some offices. Default "allowed". */
  readonly udp?: "allowed" | "blocked";
  /**
   * The private network behind it. Default `192.168.1.0/24`, the same for all that are not behind another: so peers behind
   * two of them may well have one private address, as it happens. `100.64.0.0/16` for a carrier's.
   */
  readonly subnet?: string;
}

/** @internal */
export interface TestNatContext {
  readonly platform: VirtualPlatform;
  readonly outside: Segment<TestHost>;
  readonly inside: Segment<TestHost>;
  readonly depth: number;
}

/** A router with NAT, and the local network behind it. Made by `TestNetwork.nat`. */
export class TestNat {
  readonly behaviour: NatBehaviour;
  /** @internal */
  readonly inside: Segment<TestHost>;
  /** How many NATs there are up to the internet, this one included. @internal */
  readonly depth: number;
  readonly #context: TestNatContext;
  readonly #options: NatOptions;
  readonly #table: NatTable;
  /** By inner IPv6 address and port. */
  readonly #contacts = new Map<string, Contacts>();
  readonly #up: VirtualLink;
  readonly #down: VirtualLink;
  readonly #outer: SegmentNode<TestHost>;
  #host: string;
  #udp: "allowed" | "blocked";
  #isConnected = true;
  #reboots = 0;

  /** @internal */
  constructor(context: TestNatContext, options: NatOptions) {
    const { platform, outside, inside, depth } = context;
    const { kind = "home", link, udp = "allowed" } = options;
    this.depth = depth;
    this.#context = context;
    this.#options = options;
    this.#udp = udp;
    this.behaviour = behaviourOf(natKinds[kind], options);
    this.#table = new NatTable(this.behaviour, () => platform.random());
    this.#up = new VirtualLink(platform, link);
    this.#down = new VirtualLink(platform, link);
    this.inside = inside;
    inside.gateway = this.#gateway();
    this.#outer = {
      arrive: (packet) =>
        this.#down.carry(packet.bytes.length, () => this.#handleFromOutside(packet)),
      // Nobody opens TCP connections through a NAT from outside.
      trace: () => undefined,
    };
    this.#host = outside.options.nextIpv4();
    outside.add(this.#host, this.#outer);
  }

  /** Its outer IPv4 address. */
  get address(): string {
    return this.#host;
  }

  /** Whether hosts behind it may have IPv6. */
  get ipv6(): boolean {
    return this.#options.ipv6 === true;
  }

  /** Whether it lets UDP through now. May be set. */
  get udp(): "allowed" | "blocked" {
    return this.#udp;
  }

  set udp(udp: "allowed" | "blocked") {
    this.#udp = udp;
  }

  /** Takes it from the internet, or from the NAT it is behind: a LAN without internet stays. */
  disconnect(): void {
    this.#isConnected = false;
  }

  connect(): void {
    this.#isConnected = true;
  }

  /** Forgets all UDP mappings, as those do that have too many or remember too short. TCP goes on. */
  forget(): void {
    this.#table.clear();
    this.#contacts.clear();
  }

  /**
   * Switches it off and on: TCP connections are forgotten as well, and those who had them hear nothing of it. `newAddress`:
   * it comes back with another outer address.
   */
  reboot(options: { readonly newAddress?: boolean } = {}): void {
    this.forget();
    this.#reboots += 1;
    if (options.newAddress === true) {
      const { outside } = this.#context;
      outside.remove(this.#host, this.#outer);
      this.#host = outside.options.nextIpv4();
      outside.add(this.#host, this.#outer);
    }
  }

  /** Changes its line to the outside, both ways. */
  setLink(link: Partial<LinkOptions>): void {
    this.#up.options = { ...this.#up.options, ...link };
    this.#down.options = { ...this.#down.options, ...link };
  }

  #gateway(): Gateway<TestHost> {
    const { outside } = this.#context;
    const isOnline = (): boolean => this.#isConnected && outside.isOnline;
    return {
      forward: (packet) => this.#handleFromInside(packet),
      traceOut: (to, route) => this.#traceOut(to, route),
      announce: (host) => outside.add(host, this.#outer),
      withdraw: (host) => outside.remove(host, this.#outer),
      get isOnline() {
        return isOnline();
      },
    };
  }

  #traceOut(to: SocketAddress, route: Route): TestHost | undefined {
    if (!this.#isConnected || (to.family === 6 && this.#options.ipv6 !== true)) {
      return undefined;
    }
    route.forth.push(this.#up);
    route.back.unshift(this.#down);
    route.memories.push([this, this.#reboots]);
    return this.#context.outside.trace(to, route);
  }

  #handleFromInside(packet: Packet): void {
    const isHairpin = packet.to.host === this.#host;
    if (isHairpin ? !this.behaviour.hairpinning : !this.#lets) {
      return;
    }
    const outward = packet.to.family === 4 ? this.#translated(packet) : this.#noted(packet);
    if (outward !== undefined && isHairpin) {
      this.#handleInward(outward);
    } else if (outward !== undefined) {
      const { outside } = this.#context;
      this.#up.carry(packet.bytes.length, () => outside.send(outward));
    }
  }

  #handleFromOutside(packet: Packet): void {
    if (this.#lets) {
      this.#handleInward(packet);
    }
  }

  #handleInward(packet: Packet): void {
    const now = this.#context.platform.now();
    if (packet.to.family === 6) {
      const contacts = this.#contacts.get(formatSocketAddress(packet.to));
      if (
        this.behaviour.filtering === "endpoint-independent" ||
        contacts?.admits(packet.from, now) === true
      ) {
        this.inside.send(packet);
      }
      return;
    }
    const inner = this.#table.inward(packet.to.port, packet.from, now);
    // It may have got another address while the datagram was on its way.
    if (inner !== undefined && packet.to.host === this.#host) {
      this.inside.send({ ...packet, to: inner });
    }
  }

  get #lets(): boolean {
    return this.#isConnected && this.#udp === "allowed";
  }

  #translated(packet: Packet): Packet | undefined {
    const now = this.#context.platform.now();
    const port = this.#table.outward(packet.from, packet.to, now);
    return port === undefined ? undefined : { ...packet, from: socketAddress(this.#host, port) };
  }

  #noted(packet: Packet): Packet | undefined {
    if (this.#options.ipv6 !== true) {
      return undefined;
    }
    const now = this.#context.platform.now();
    const key = formatSocketAddress(packet.from);
    const contacts = this.#contacts.get(key) ?? new Contacts(this.behaviour, now);
    this.#contacts.set(key, contacts);
    contacts.note(packet.to, now);
    return packet;
  }
}

function behaviourOf(kind: NatBehaviour, options: Partial<NatBehaviour>): NatBehaviour {
  return {
    mapping: options.mapping ?? kind.mapping,
    filtering: options.filtering ?? kind.filtering,
    hairpinning: options.hairpinning ?? kind.hairpinning,
    portPreservation: options.portPreservation ?? kind.portPreservation,
    mappingTimeoutMs: options.mappingTimeoutMs ?? kind.mappingTimeoutMs,
  };
}
