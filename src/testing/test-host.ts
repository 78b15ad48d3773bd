import type { Platform } from "../base/platform.ts";
import { formatSocketAddress, type SocketAddress, socketAddress } from "../base/socket-address.ts";
import type { DiscoverySource } from "../discovery/discovery.ts";
import type { DatagramHandler, MulticastSocket } from "../discovery/discovery-network.ts";
import type { InterfaceAddress, Network } from "../net/network.ts";
import { isLoopback } from "../net/observation.ts";
import { HostInterface } from "./host-interface.ts";
import { HostPlatform } from "./host-platform.ts";
import { HostPorts } from "./host-ports.ts";
import { HostStreams, type StreamServer, type TracedRoute } from "./host-streams.ts";
import { Contacts, type EndpointDependence } from "./nat-table.ts";
import { type Packet, Route, type Segment } from "./segment.ts";
import type { TestNat } from "./test-nat.ts";
import type { LinkOptions, VirtualLink } from "./virtual-link.ts";
import type { VirtualPlatform } from "./virtual-platform.ts";

/** A place for a host in the network. */
export interface AttachOptions {
  /** The NAT that it is behind, or the LAN that it is in. Default: none, its address is one of the internet. */
  readonly behind?: TestNat | TestLan;
  /** Default true. */
  readonly ipv4?: boolean;
  /** Default: false; true needs a NAT that has it, where there is one. */
  readonly ipv6?: boolean;
  /** Its line, the same in both directions. Default: nothing is lost; 10 ms on the internet, 1 ms behind a NAT. */
  readonly link?: Partial<LinkOptions>;
  /** Name of the interface. Default `eth0`, `eth1` … */
  readonly name?: string;
}

export interface HostOptions extends AttachOptions {
  /**
   * A firewall of its own: whom it lets in, in the words of RFC 4787 §5. Default "endpoint-independent": everybody;
   * "address-and-port-dependent": where it has sent to within 30 s, which is what those mean who block what comes in.
   */
  readonly filtering?: EndpointDependence;
  /** "blocked": neither sends nor gets UDP. Default "allowed". */
  readonly udp?: "allowed" | "blocked";
}

/** A local network without a way out. Made by `TestNetwork.lan`. */
export interface TestLan {
  /** @internal */
  readonly inside: Segment<TestHost>;
}

/** What `Endpoint.bind` needs to be on a host, and to use what the network has. */
export interface HostBindOptions {
  readonly platform: Platform;
  readonly network: Network;
  readonly relays: readonly string[];
  readonly stunServers: readonly string[];
  readonly discovery: readonly DiscoverySource[];
}

/** The world around a host. @internal */
export interface HostWorld {
  readonly platform: VirtualPlatform;
  readonly internet: Segment<TestHost>;
  /** The same object for the same address. */
  address(host: string, port: number): SocketAddress;
  /** Sees what a host sends; undefined loses it. */
  tapped(host: TestHost, packet: Packet): Packet | undefined;
  /** What was said of the way from one host to another. */
  between(from: object, to: object): VirtualLink | undefined;
  /** By name, what DNS knows. */
  lookUp(name: string): readonly string[];
  readonly resolveTxt: Network["resolveTxt"];
  /** The servers there are for endpoints now. */
  serving(): Pick<HostBindOptions, "relays" | "stunServers" | "discovery">;
}

/** How long a firewall lets answers in. */
const firewallTimeoutMs = 30_000;
/** How much of what has arrived waits for a host that is frozen. */
const maxHeldBytes = 4 << 20;
/** What DNS takes. */
const lookUpMs = 5;

/** A machine of the network, with a clock and addresses of its own. Made by `TestNetwork.host`. */
export class TestHost {
  readonly name: string;
  /** @internal */
  readonly streams: HostStreams;
  readonly #world: HostWorld;
  readonly #options: HostOptions;
  readonly #platform: HostPlatform;
  readonly #network: Network;
  readonly #ports: HostPorts;
  readonly #interfaces: HostInterface<TestHost>[] = [];
  readonly #groups = new Set<{ readonly groups: readonly string[]; handler: DatagramHandler }>();
  readonly #contacts = new Map<string, Contacts>();
  #heldBytes = 0;
  #attached = 0;
  #udp: "allowed" | "blocked";

  /** @internal */
  constructor(name: string, options: HostOptions, world: HostWorld) {
    this.name = name;
    this.#options = options;
    this.#world = world;
    this.#udp = options.udp ?? "allowed";
    this.#platform = new HostPlatform(world.platform);
    this.#ports = new HostPorts({
      owns: (host) => this.#owns(host),
      hasFamily: (family) => this.#interfaces.some((each) => each.hostOf(family) !== undefined),
      send: (from, to, bytes) => this.#send(from, to, bytes),
      random: () => world.platform.random(),
    });
    this.streams = new HostStreams({
      platform: this.#platform,
      world: world.platform,
      resolve: (hostname, port) => this.#resolveNow(hostname, port),
      trace: (to) => this.#trace(to),
    });
    this.#network = {
      bindSocket: async (addresses, handler) => this.#ports.bind(addresses, handler),
      interfaces: () => this.#list(),
      resolveHost: (host, port) => this.#resolve(host, port),
      openMessageChannel: this.streams.openMessageChannel,
      request: this.streams.request,
      resolveTxt: (question, resolving) => this.#resolveTxt(question, resolving),
      openMulticast: async ({ groups }, handler) => this.#joinGroups(groups, handler),
    };
    this.attach(options);
  }

  /**
   * What makes an endpoint one of this host: `Endpoint.bind({ ...host.options, … })`. With all relays and all discovery that
   * the network has by now.
   */
  get options(): HostBindOptions {
    return { platform: this.#platform, network: this.#network, ...this.#world.serving() };
  }

  /** Its addresses now, without loopback. */
  get addresses(): readonly string[] {
    return this.#interfaces.flatMap(({ hosts }) => hosts);
  }

  /** Whether it lets UDP through now. May be set. */
  get udp(): "allowed" | "blocked" {
    return this.#udp;
  }

  set udp(udp: "allowed" | "blocked") {
    this.#udp = udp;
  }

  get state(): "running" | "frozen" | "sleeping" {
    return this.#platform.state;
  }

  /** Connects it at another place as well, and returns the name of the interface. What it sends goes by the first that can. */
  attach(options: AttachOptions = {}): string {
    const { behind, ipv4 = true, ipv6 = false, link } = options;
    const name = options.name ?? `eth${this.#attached}`;
    this.#attached += 1;
    const added = new HostInterface<TestHost>({
      name,
      segment: behind?.inside ?? this.#world.internet,
      ipv4,
      ipv6,
      link: { delayMs: behind === undefined ? 10 : 1, ...link },
      platform: this.#world.platform,
      owner: this,
      receive: (packet) => this.#receive(packet),
    });
    this.#interfaces.push(added);
    return name;
  }

  /** Takes an interface away, and its addresses; without a name, all. */
  detach(name?: string): void {
    for (const each of [...this.#interfaces]) {
      if (name === undefined || each.name === name) {
        each.detach();
        this.#interfaces.splice(this.#interfaces.indexOf(each), 1);
      }
    }
  }

  /** Goes to another place with all it has: other addresses, and the old ones are gone. */
  move(options: AttachOptions = {}): void {
    this.detach();
    this.attach(options);
  }

  /** Changes its lines, both ways. */
  setLink(link: Partial<LinkOptions>): void {
    for (const each of this.#interfaces) {
      each.setLink(link);
    }
  }

  /**
   * Stops it as SIGSTOP stops a process: its timers and sockets stand still, its clocks go on, and the system takes in
   * what arrives. Ends with {@link resume}.
   */
  freeze(): void {
    this.#platform.freeze();
  }

  /**
   * Sends it to sleep, as a laptop that is closed: its monotonic clock stands still as well, and what arrives is lost.
   * Ends with {@link resume}.
   */
  sleep(): void {
    this.#platform.sleep();
  }

  resume(): void {
    this.#heldBytes = 0;
    this.#platform.resume();
  }

  /** Has `server` answer TCP connections to `port`. @internal */
  listen(port: number, server: StreamServer): void {
    this.streams.listen(port, server);
  }

  /** Binds UDP for a server of the network itself. @internal */
  bindUdp(...args: Parameters<HostPorts["bind"]>): ReturnType<HostPorts["bind"]> {
    return this.#ports.bind(...args);
  }

  #list(): InterfaceAddress[] {
    const hasIpv6 = this.#interfaces.some((each) => each.hostOf(6) !== undefined);
    const loopback = ["127.0.0.1", ...(hasIpv6 ? ["::1"] : [])].map(
      (host) => ["lo", host] as const,
    );
    const others = this.#interfaces.flatMap(({ name, hosts }) =>
      hosts.map((host) => [name, host] as const),
    );
    return [...loopback, ...others].map(([interfaceName, host]) => ({
      interfaceName,
      host,
      family: host.includes(":") ? 6 : 4,
      internal: interfaceName === "lo",
    }));
  }

  #owns(host: string): boolean {
    return this.#list().some((entry) => entry.host === host);
  }

  /** By which interface something goes: the one that the other side is at, else the first with a way out. */
  #interfaceTo({ host, family }: SocketAddress): HostInterface<TestHost> | undefined {
    const able = this.#interfaces.filter((each) => each.hostOf(family) !== undefined);
    return (
      able.find(({ segment }) => !segment.options.isInternet && segment.has(host)) ??
      able.find(({ segment }) => segment.isOnline) ??
      able[0]
    );
  }

  #send(from: SocketAddress, to: SocketAddress, bytes: Uint8Array): void {
    if (this.#udp === "blocked") {
      return;
    }
    const { platform } = this.#world;
    if (this.#owns(to.host)) {
      const source = this.#world.address(to.host, from.port);
      platform.setTimer(0, () => this.#hand(source, to, bytes));
      return;
    }
    const by = this.#interfaceTo(to);
    const host = by?.hostOf(to.family);
    if (by === undefined || host === undefined || isLoopback(to)) {
      return;
    }
    this.#noteContact(from.port, to);
    const source = this.#world.address(host, from.port);
    const packet = this.#world.tapped(this, { origin: this, from: source, to, bytes });
    if (packet !== undefined) {
      by.send(packet);
    }
  }

  #receive(packet: Packet): void {
    const link = this.#world.between(packet.origin, this);
    if (link === undefined) {
      this.#take(packet);
    } else {
      link.carry(packet.bytes.length, () => this.#take(packet));
    }
  }

  #take({ from, to, bytes }: Packet): void {
    if (this.#udp === "blocked" || this.state === "sleeping") {
      return;
    }
    const source = this.#world.address(from.host, from.port);
    const groups = [...this.#groups].filter((each) =>
      each.groups.includes(formatSocketAddress(to)),
    );
    for (const { handler } of groups) {
      this.#platform.event(() => handler.datagram(source, bytes.slice()));
    }
    if (groups.length === 0 && this.#owns(to.host) && this.#admits(source, to)) {
      this.#hand(source, to, bytes);
    }
  }

  #hand(from: SocketAddress, to: SocketAddress, bytes: Uint8Array): void {
    if (this.state === "frozen") {
      this.#heldBytes += bytes.length;
    }
    if (this.#heldBytes <= maxHeldBytes) {
      this.#platform.event(() => this.#ports.deliver(from, to, bytes));
    }
  }

  #noteContact(port: number, to: SocketAddress): void {
    const { filtering = "endpoint-independent" } = this.#options;
    if (filtering !== "endpoint-independent") {
      const now = this.#world.platform.now();
      const key = `${to.family} ${port}`;
      const rule = { filtering, mappingTimeoutMs: firewallTimeoutMs };
      const contacts = this.#contacts.get(key) ?? new Contacts(rule, now);
      this.#contacts.set(key, contacts);
      contacts.note(to, now);
    }
  }

  #admits(from: SocketAddress, { family, port }: SocketAddress): boolean {
    const { filtering = "endpoint-independent" } = this.#options;
    const contacts = this.#contacts.get(`${family} ${port}`);
    return (
      filtering === "endpoint-independent" ||
      contacts?.admits(from, this.#world.platform.now()) === true
    );
  }

  #joinGroups(groups: readonly SocketAddress[], handler: DatagramHandler): MulticastSocket {
    const usable = groups.filter(({ family }) =>
      this.#interfaces.some((each) => each.hostOf(family) !== undefined),
    );
    if (usable.length === 0) {
      throw new Error("no interface takes part in multicast");
    }
    const member = { groups: usable.map(formatSocketAddress), handler };
    this.#groups.add(member);
    return {
      send: (bytes) => {
        for (const group of this.#groups.has(member) ? usable : []) {
          this.#multicast(group, bytes.slice());
        }
      },
      close: async () => {
        this.#groups.delete(member);
      },
    };
  }

  #multicast(to: SocketAddress, bytes: Uint8Array): void {
    for (const each of this.#udp === "blocked" ? [] : this.#interfaces) {
      const host = each.hostOf(to.family);
      if (host !== undefined) {
        each.sendToAll({ origin: this, from: socketAddress(host, to.port), to, bytes });
      }
    }
  }

  #trace(to: SocketAddress): TracedRoute | undefined {
    const route = new Route();
    if (this.#owns(to.host)) {
      return { streams: this.streams, route };
    }
    const host = this.#interfaceTo(to)?.traceOut(to, route);
    if (host === undefined || host.state === "sleeping" || this.state === "sleeping") {
      return undefined;
    }
    const [forth, back] = [this.#world.between(this, host), this.#world.between(host, this)];
    route.forth.push(...(forth === undefined ? [] : [forth]));
    route.back.push(...(back === undefined ? [] : [back]));
    return { streams: host.streams, route };
  }

  /** Those first that the host has a family for. */
  #resolveNow(hostname: string, port: number): SocketAddress[] {
    const literal = hostname.replace(/^\[(.*)\]$/, "$1");
    const isLiteral = literal.includes(":") || /^[0-9.]+$/.test(literal);
    const isOnline = this.#interfaces.some(({ segment }) => segment.isOnline);
    const found = isLiteral ? [literal] : isOnline ? this.#world.lookUp(hostname) : [];
    if (found.length === 0) {
      throw new Error(`getaddrinfo ${isOnline ? "ENOTFOUND" : "EAI_AGAIN"} ${hostname}`);
    }
    const addresses = found.map((host) => this.#world.address(host, port));
    const usable = addresses.filter((address) => this.#interfaceTo(address) !== undefined);
    return usable.length > 0 ? usable : addresses;
  }

  #resolve(hostname: string, port: number): Promise<SocketAddress[]> {
    return new Promise((resolve, reject) => {
      this.#platform.setTimer(lookUpMs, () => {
        try {
          resolve(this.#resolveNow(hostname, port));
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  async #resolveTxt(
    ...[name, options]: Parameters<Network["resolveTxt"]>
  ): Promise<readonly Uint8Array[]> {
    await new Promise<void>((resolve) => this.#platform.setTimer(lookUpMs, resolve));
    options.signal.throwIfAborted();
    if (!this.#interfaces.some(({ segment }) => segment.isOnline)) {
      throw new Error(`queryTxt ETIMEOUT ${name}`);
    }
    return await this.#world.resolveTxt(name, options);
  }
}
