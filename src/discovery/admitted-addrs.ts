import { hostNetwork } from "../base/host-network.ts";
import { hostToBytes, isMappedIpv4, type SocketAddress } from "../base/socket-address.ts";
import { type TransportAddr, transportAddrKey } from "../identity/transport-addr.ts";

/** Addresses of one peer that are dialed at most, whoever names them. What iroh remembers as well. */
export const maxAddrsPerPeer = 30;
/** Relays among those of one source: each costs a connection, and a peer has one that is its home. */
export const maxRelaysPerSource = 2;
/**
 * Addresses of one host among them, which is an IPv4 address or an IPv6 network of 64 bits: a peer has few ports, and an
 * address in IPv6 for each purpose, and who is named without having to do with it gets no more than so many dials.
 */
export const maxAddrsPerHost = 8;

/**
 * Chooses which of the found addresses of a peer are worth a dial, so that neither a peer nor a source can make us send to
 * thousands of third parties: a limited number, each once, and none that stands for many hosts or for any.
 *
 * Half of the places are set apart for the sources in equal shares, so that one that floods leaves room for the others.
 */
export class AdmittedAddrs {
  readonly #keys = new Set<string>();
  /** By source. */
  readonly #counts: number[];
  readonly #relays: number[];
  readonly #hosts = new Map<string, number>();
  readonly #share: number;

  constructor(sources: number) {
    this.#counts = new Array<number>(sources).fill(0);
    this.#relays = new Array<number>(sources).fill(0);
    this.#share = Math.max(1, Math.floor(maxAddrsPerPeer / (2 * sources)));
  }

  /** Those of `addrs` that are new and may be dialed. `source` counts from 0. */
  admit(source: number, addrs: readonly TransportAddr[]): TransportAddr[] {
    return addrs.filter((addr) => {
      if (!isDialable(addr) || !this.#hasRoom(source, addr)) {
        return false;
      }
      const key = transportAddrKey(addr);
      const host = addr.type === "ip" ? hostNetwork(addr.address.host) : undefined;
      const ofHost = this.#hosts.get(host ?? "") ?? 0;
      if (this.#keys.has(key) || ofHost >= maxAddrsPerHost) {
        return false;
      }
      this.#keys.add(key);
      if (host !== undefined) {
        this.#hosts.set(host, ofHost + 1);
      }
      increment(this.#counts, source);
      if (addr.type === "relay") {
        increment(this.#relays, source);
      }
      return true;
    });
  }

  /** Whether the address has been admitted, from whichever source. */
  has(addr: TransportAddr): boolean {
    return this.#keys.has(transportAddrKey(addr));
  }

  #hasRoom(source: number, { type }: TransportAddr): boolean {
    if (type === "relay" && (this.#relays[source] ?? 0) >= maxRelaysPerSource) {
      return false;
    }
    const taken = this.#counts.reduce(
      (sum, count, index) => sum + (index === source ? count : Math.max(count, this.#share)),
      0,
    );
    return taken < maxAddrsPerPeer || (this.#counts[source] ?? 0) < this.#share;
  }
}

function increment(counts: number[], index: number): void {
  counts[index] = (counts[index] ?? 0) + 1;
}

function isDialable(addr: TransportAddr): boolean {
  switch (addr.type) {
    case "relay":
      return /^(?:https?|wss?):/.test(addr.url);
    case "ip":
      return isUnicast(addr.address);
    case "custom":
      return true;
  }
}

/** Whether the address is that of one host and one program. */
function isUnicast({ host, port }: SocketAddress): boolean {
  const bytes = hostToBytes(host);
  const [first = 0] = isMappedIpv4(bytes) ? bytes.subarray(12) : bytes;
  if (port === 0 || host === "::") {
    return false;
  }
  // 0.0.0.0/8 is this network, 224.0.0.0/4 are groups, 240.0.0.0/4 is reserved with the broadcast address at its end.
  return bytes.length === 4 || isMappedIpv4(bytes) ? first > 0 && first < 224 : first !== 0xff;
}
