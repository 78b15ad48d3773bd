import { hostNetwork } from "../../base/host-network.ts";

/**
 * Counts the connections of each host, an IPv4 address or an IPv6 network of 64 bits, so that none takes the places of all.
 * Those of this host itself are not counted: they may be of a proxy, and then of everybody.
 */
export class HostConnections {
  readonly #max: number;
  readonly #counts = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Hosts that have connections. */
  get hosts(): number {
    return this.#counts.size;
  }

  /** Takes a place; what is returned gives it back, once. Undefined: the host has too many. */
  take(address: string | undefined): (() => void) | undefined {
    if (address === undefined || /^(?:::1$|(?:::ffff:)?127\.)/.test(address)) {
      return () => {};
    }
    const host = hostNetwork(address.replace(/%.*$/, ""));
    const count = this.#counts.get(host) ?? 0;
    if (count >= this.#max) {
      return undefined;
    }
    this.#counts.set(host, count + 1);
    return () => {
      const left = (this.#counts.get(host) ?? 1) - 1;
      if (left === 0) {
        this.#counts.delete(host);
      } else {
        this.#counts.set(host, left);
      }
    };
  }
}
