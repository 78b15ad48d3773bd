import { showAs } from "../base/inspect.ts";
import type { SocketAddress } from "../base/socket-address.ts";
import { type EndpointAddrJson, transportAddrFromJson, transportAddrToJson } from "./addr-json.ts";
import { EndpointId } from "./endpoint-id.ts";
import { IdentityError } from "./identity-error.ts";
import type { RelayUrl } from "./relay-url.ts";
import {
  formatTransportAddr,
  normalTransportAddr,
  parseTransportAddr,
  type TransportAddr,
  transportAddrKey,
} from "./transport-addr.ts";

/** What an {@link EndpointAddr} is made of; texts are parsed. */
export interface EndpointAddrInit {
  readonly id: EndpointId | string;
  /** In any order, equal ones count once. Texts such as `127.0.0.1:4433` or `https://relay.example./`. Default none. */
  readonly addrs?: Iterable<TransportAddr | string> | undefined;
}

/** A peer's id with the ways to reach it that are known. Immutable. */
export class EndpointAddr {
  static {
    showAs(EndpointAddr, (addr) => `EndpointAddr(${addr})`);
  }

  readonly id: EndpointId;
  /** In iroh's order, without duplicates: relays, IPv4, IPv6, custom. */
  readonly addrs: readonly TransportAddr[];
  readonly #keys: readonly string[];

  /**
   * @param addrs in any order; equal ones count once
   * @throws IdentityError `invalid-address` for an address that is out of range
   */
  constructor(id: EndpointId, addrs: Iterable<TransportAddr> = []) {
    this.id = id;
    const byKey = new Map<string, TransportAddr>();
    for (const addr of addrs) {
      const normal = normalTransportAddr(addr);
      byKey.set(transportAddrKey(normal), normal);
    }
    this.#keys = [...byKey.keys()].sort();
    this.addrs = Object.freeze(this.#keys.flatMap((key) => byKey.get(key) ?? []));
    Object.freeze(this);
  }

  /** Like the constructor, but parses texts. Throws {@link IdentityError} `invalid-id` or `invalid-address`. */
  static from({ id, addrs = [] }: EndpointAddrInit): EndpointAddr {
    return new EndpointAddr(
      typeof id === "string" ? EndpointId.parse(id) : id,
      Array.from(addrs, (addr) => (typeof addr === "string" ? parseTransportAddr(addr) : addr)),
    );
  }

  /** Reads what {@link toJSON} gives, and iroh's JSON. Throws {@link IdentityError} `invalid-address`. */
  static fromJSON(json: unknown): EndpointAddr {
    const { id, addrs } = (typeof json === "object" && json !== null ? json : {}) as {
      readonly id?: unknown;
      readonly addrs?: unknown;
    };
    if (typeof id !== "string" || !Array.isArray(addrs)) {
      throw new IdentityError(
        "invalid-address",
        "invalid endpoint address: expected an object with a string id and a list addrs",
      );
    }
    return new EndpointAddr(EndpointId.parse(id), addrs.map(transportAddrFromJson));
  }

  /** The direct addresses, IPv4 first. */
  get ipAddrs(): SocketAddress[] {
    return this.addrs.flatMap((addr) => (addr.type === "ip" ? [addr.address] : []));
  }

  /** The relays, mostly none or one. */
  get relayUrls(): RelayUrl[] {
    return this.addrs.flatMap((addr) => (addr.type === "relay" ? [addr.url] : []));
  }

  /** True when nothing but the id is known. */
  get isEmpty(): boolean {
    return this.addrs.length === 0;
  }

  /** The same peer with more addresses. Throws {@link IdentityError} `invalid-address`. */
  withAddrs(addrs: Iterable<TransportAddr | string>): EndpointAddr {
    return EndpointAddr.from({ id: this.id, addrs: [...this.addrs, ...addrs] });
  }

  equals(other: EndpointAddr): boolean {
    return (
      this.id.equals(other.id) &&
      this.#keys.length === other.#keys.length &&
      this.#keys.every((key, at) => key === other.#keys[at])
    );
  }

  /** The id, then each address after a space: `<id> relay:https://relay.example./ ip:127.0.0.1:4433`. */
  toString(): string {
    return [this.id.toString(), ...this.addrs.map(formatTransportAddr)].join(" ");
  }

  /** As iroh writes it in JSON: `{"id":"<hex>","addrs":[{"Relay":"…"},{"Ip":"…"}]}`. */
  toJSON(): EndpointAddrJson {
    return { id: this.id.toString(), addrs: this.addrs.map(transportAddrToJson) };
  }
}
