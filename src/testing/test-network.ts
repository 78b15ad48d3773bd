import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import { ipv6Pool, privateIpv4Pool, publicIpv4Pool } from "./address-pool.ts";
import { type Packet, Segment } from "./segment.ts";
import { type HostOptions, type HostWorld, TestHost, type TestLan } from "./test-host.ts";
import { type NatOptions, TestNat } from "./test-nat.ts";
import { TestPkarr } from "./test-pkarr.ts";
import { TestRelay, type TestRelayOptions } from "./test-relay.ts";
import { type LinkOptions, VirtualLink } from "./virtual-link.ts";
import { VirtualPlatform } from "./virtual-platform.ts";

export interface TestNetworkOptions {
  /** The same seed makes the same run. Default 1. */
  readonly seed?: number;
}

export interface RunOptions {
  /** How much time may pass. Milliseconds, default an hour. */
  readonly limitMs?: number;
}

/** A datagram as a host sends it. */
export interface SentDatagram {
  readonly host: TestHost;
  readonly from: SocketAddress;
  readonly to: SocketAddress;
  readonly bytes: Uint8Array;
}

const defaultLimitMs = 3_600_000;

/** A network within this process, in virtual time. Throws RangeError for a seed that is no integer. */
export function createTestNetwork(options: TestNetworkOptions = {}): TestNetwork {
  return new TestNetwork(options);
}

/**
 * An internet with hosts, NATs and relays within this process, in virtual time: an hour takes moments, and the same seed
 * makes the same run. Nothing happens but within {@link run} and {@link advance}.
 *
 * ```ts
 * const network = createTestNetwork({ seed: 1 });
 * const relay = network.relay();
 * const laptop = network.host({ behind: network.nat() });
 * const phone = network.host({ behind: network.nat({ kind: "carrier" }) });
 *
 * await network.run(async () => {
 *   await using server = await Endpoint.bind(laptop.options);
 *   …
 * });
 * ```
 *
 * What does not ask the endpoint for the time (`setTimeout`, deadlines of calls, compression) goes on in real time.
 */
export class TestNetwork {
  readonly seed: number;
  /**
   * Sees each datagram that a host sends over UDP: undefined loses it, and what is returned travels in its place.
   * Default: none.
   */
  tap: ((datagram: SentDatagram) => Uint8Array | undefined) | undefined;
  readonly #platform: VirtualPlatform;
  readonly #world: HostWorld;
  readonly #internet: Segment<TestHost>;
  readonly #addresses = new Map<string, SocketAddress>();
  readonly #names = new Map<string, TestHost>();
  readonly #relays: TestRelay[] = [];
  readonly #pkarrs: TestPkarr[] = [];
  readonly #between = new Map<object, Map<object, VirtualLink>>();
  #subnets = 0;
  #isRunning = false;

  /** @internal */
  constructor({ seed = 1 }: TestNetworkOptions) {
    if (!Number.isInteger(seed)) {
      throw new RangeError(`invalid seed: ${seed} is no integer`);
    }
    this.seed = seed;
    this.#platform = new VirtualPlatform(seed);
    this.#internet = new Segment({
      nextIpv4: publicIpv4Pool(),
      nextIpv6: ipv6Pool(0),
      hasMulticast: false,
      isInternet: true,
    });
    this.#world = {
      platform: this.#platform,
      internet: this.#internet,
      address: (host, port) => this.#address(host, port),
      tapped: (host, packet) => this.#tapped(host, packet),
      between: (from, to) => this.#between.get(from)?.get(to),
      lookUp: (name) => this.#names.get(name.replace(/\.$/, "").toLowerCase())?.addresses ?? [],
      resolveTxt: async (name) => this.#pkarrs.flatMap((pkarr) => pkarr.resolveTxt(name) ?? []),
      serving: () => ({
        relays: this.#relays.map(({ url }) => url),
        stunServers: this.#relays.map(({ stun }) => stun),
        discovery: this.#pkarrs.flatMap(({ sources }) => sources),
      }),
    };
  }

  /** Milliseconds since the beginning. */
  get now(): number {
    return this.#platform.now();
  }

  /** A machine; by default on the internet, with an IPv4 address that everybody reaches. */
  host(options: HostOptions = {}): TestHost {
    return new TestHost(options.name ?? "host", options, this.#world);
  }

  /** A router with NAT; hosts are put behind it with `network.host({ behind: nat })`. */
  nat(options: NatOptions = {}): TestNat {
    const { behind, kind = "home", ipv6 = false } = options;
    const depth = behind === undefined ? 1 : behind.depth + 1;
    const subnet =
      options.subnet ?? (kind === "carrier" ? "100.64.0.0/16" : `192.168.${depth}.0/24`);
    const inside = this.#lanSegment(subnet, ipv6);
    const outside = behind?.inside ?? this.#internet;
    return new TestNat({ platform: this.#platform, outside, inside, depth }, options);
  }

  /** A local network without a way out. */
  lan(): TestLan {
    return { inside: this.#lanSegment("192.168.1.0/24", true) };
  }

  /** A relay, by default on the internet with IPv4 and IPv6, which answers STUN too. */
  relay(options: TestRelayOptions = {}): TestRelay {
    const { name = `relay${this.#relays.length + 1}.test`, behind, ipv4, ipv6, link } = options;
    const host = this.#server(name, {
      ...(behind === undefined ? { ipv6: true } : { behind }),
      ...(ipv4 === undefined ? {} : { ipv4 }),
      ...(ipv6 === undefined ? {} : { ipv6 }),
      ...(link === undefined ? {} : { link }),
    });
    const relay = new TestRelay(host, options);
    this.#relays.push(relay);
    return relay;
  }

  /** A place where peers publish their addresses and find those of others by id, on the internet with IPv4 and IPv6. */
  pkarr(options: { readonly name?: string } = {}): TestPkarr {
    const { name = `dns${this.#pkarrs.length + 1}.test` } = options;
    const pkarr = new TestPkarr(this.#server(name, { ipv6: true }));
    this.#pkarrs.push(pkarr);
    return pkarr;
  }

  /**
   * Makes the way between two hosts worse in both directions, in addition to what their lines do: by default it takes no
   * time and loses nothing. Other ways, as over a relay, are as before. `undefined` ends that.
   */
  between(one: TestHost, other: TestHost, link: Partial<LinkOptions> | undefined): void {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      const links = this.#between.get(from) ?? new Map<object, VirtualLink>();
      this.#between.set(from, links);
      if (link === undefined) {
        links.delete(to);
      } else {
        const options = { delayMs: 0, mtu: Number.POSITIVE_INFINITY, ...link };
        links.set(to, new VirtualLink(this.#platform, options));
      }
    }
  }

  /** Lets nothing through between two hosts any more, and tells nobody. {@link heal} ends that. */
  cut(one: TestHost, other: TestHost): void {
    this.between(one, other, { loss: 1 });
  }

  heal(one: TestHost, other: TestHost): void {
    this.between(one, other, undefined);
  }

  /**
   * Lets time pass until `work` has come to an end, and gives what came of it. Rejects with what it rejects with, and when
   * nothing is left to happen or `limitMs` have passed while it still waits. Within another `run` it just waits.
   */
  async run<T>(work: Promise<T> | (() => Promise<T>), options: RunOptions = {}): Promise<T> {
    const promise = typeof work === "function" ? work() : work;
    if (this.#isRunning) {
      return await promise;
    }
    this.#isRunning = true;
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    promise.then(over, over);
    try {
      const { limitMs = defaultLimitMs } = options;
      if (!(await this.#platform.runAsync(() => isOver, limitMs))) {
        throw new Error(
          `it takes no end: waited until ${this.now} ms of a network with seed ${this.seed}`,
        );
      }
    } finally {
      this.#isRunning = false;
    }
    return await promise;
  }

  /** Lets so many milliseconds pass. */
  async advance(durationMs: number): Promise<void> {
    await this.run(
      () => new Promise<void>((resolve) => this.#platform.setTimer(durationMs, resolve)),
      { limitMs: durationMs },
    );
  }

  #server(name: string, options: HostOptions): TestHost {
    if (this.#names.has(name)) {
      throw new TypeError(`${name} exists`);
    }
    const host = new TestHost(name, options, this.#world);
    this.#names.set(name, host);
    return host;
  }

  #lanSegment(subnet: string, ipv6: boolean): Segment<TestHost> {
    this.#subnets += 1;
    return new Segment({
      nextIpv4: privateIpv4Pool(subnet),
      nextIpv6: ipv6 ? ipv6Pool(this.#subnets) : undefined,
      hasMulticast: true,
      isInternet: false,
    });
  }

  #address(host: string, port: number): SocketAddress {
    const key = `${port} ${host}`;
    let address = this.#addresses.get(key);
    if (address === undefined) {
      address = socketAddress(host, port);
      this.#addresses.set(key, address);
    }
    return address;
  }

  #tapped(host: TestHost, packet: Packet): Packet | undefined {
    if (this.tap === undefined) {
      return packet;
    }
    const { from, to } = packet;
    const bytes = this.tap({ host, from, to, bytes: packet.bytes });
    return bytes === undefined ? undefined : { ...packet, bytes };
  }
}
