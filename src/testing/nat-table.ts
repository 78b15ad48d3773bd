import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";

/** On what something depends, in the words of RFC 4787. */
export type EndpointDependence =
  | "endpoint-independent"
  | "address-dependent"
  | "address-and-port-dependent";

/** What a NAT does with UDP (RFC 4787). */
export interface NatBehaviour {
  /** Whether an inner address has one outer address for all that it sends to (§4.1). */
  readonly mapping: EndpointDependence;
  /** From whom datagrams to an outer address are let in (§5): anybody, or those that were sent to before. */
  readonly filtering: EndpointDependence;
  /** Whether those inside reach each other at their outer addresses (§6). */
  readonly hairpinning: boolean;
  /** Whether the outer port is the inner one where that is free (§4.2.1); else it is a random one. */
  readonly portPreservation: boolean;
  /** After so long without a datagram it forgets (§4.3). Milliseconds. */
  readonly mappingTimeoutMs: number;
}

/** Mappings after whose number the old ones are looked for. */
const sweepAbove = 512;
const minPort = 1_024;
const maxPort = 65_535;

interface Mapping {
  readonly inner: SocketAddress;
  readonly outerPort: number;
  readonly key: string;
  /** Who was sent to, and when last. */
  readonly contacts: Contacts;
}

/** The mappings of a NAT with one outer address. Times are `Platform.now()`. */
export class NatTable {
  readonly behaviour: NatBehaviour;
  /** From 0 up to 1. */
  readonly #random: () => number;
  readonly #byKey = new Map<string, Mapping>();
  readonly #byPort = new Map<number, Mapping>();

  constructor(behaviour: NatBehaviour, random: () => number) {
    this.behaviour = behaviour;
    this.#random = random;
  }

  /** Mappings that have not been forgotten, as far as anybody has looked. */
  get size(): number {
    return this.#byKey.size;
  }

  /** The outer port for a datagram from the inside; undefined when all are taken. */
  outward(inner: SocketAddress, to: SocketAddress, now: number): number | undefined {
    const key = `${formatSocketAddress(inner)} ${scopeOf(this.behaviour.mapping, to)}`;
    let mapping = this.#alive(this.#byKey.get(key), now);
    if (mapping === undefined) {
      this.#sweep(now);
      const outerPort = this.#freePort(inner.port, now);
      if (outerPort === undefined) {
        return undefined;
      }
      mapping = { inner, outerPort, key, contacts: new Contacts(this.behaviour, now) };
      this.#byKey.set(key, mapping);
      this.#byPort.set(outerPort, mapping);
    }
    mapping.contacts.note(to, now);
    return mapping.outerPort;
  }

  /** Where a datagram to an outer port goes; undefined: nowhere. */
  inward(outerPort: number, from: SocketAddress, now: number): SocketAddress | undefined {
    const mapping = this.#alive(this.#byPort.get(outerPort), now);
    return mapping?.contacts.admits(from, now) === true ? mapping.inner : undefined;
  }

  /** Forgets all, as when it is switched off and on. */
  clear(): void {
    this.#byKey.clear();
    this.#byPort.clear();
  }

  #alive(mapping: Mapping | undefined, now: number): Mapping | undefined {
    if (mapping === undefined || !mapping.contacts.isExpired(now)) {
      return mapping;
    }
    this.#byKey.delete(mapping.key);
    this.#byPort.delete(mapping.outerPort);
    return undefined;
  }

  #freePort(wanted: number, now: number): number | undefined {
    const isFree = (port: number): boolean =>
      this.#alive(this.#byPort.get(port), now) === undefined;
    if (this.behaviour.portPreservation && isFree(wanted)) {
      return wanted;
    }
    const count = maxPort - minPort + 1;
    const start = Math.floor(this.#random() * count);
    for (let offset = 0; offset < count; offset += 1) {
      const port = minPort + ((start + offset) % count);
      if (isFree(port)) {
        return port;
      }
    }
    return undefined;
  }

  #sweep(now: number): void {
    if (this.#byKey.size >= sweepAbove) {
      for (const mapping of this.#byKey.values()) {
        this.#alive(mapping, now);
      }
    }
  }
}

/** Whom an address has sent to of late, and so who may answer. */
export class Contacts {
  readonly #rule: Pick<NatBehaviour, "filtering" | "mappingTimeoutMs">;
  readonly #lastAt = new Map<string, number>();
  #usedAt: number;

  constructor(rule: Pick<NatBehaviour, "filtering" | "mappingTimeoutMs">, now: number) {
    this.#rule = rule;
    this.#usedAt = now;
  }

  note(to: SocketAddress, now: number): void {
    this.#usedAt = now;
    if (this.#rule.filtering !== "endpoint-independent") {
      this.#lastAt.set(scopeOf(this.#rule.filtering, to), now);
      this.#sweep(now);
    }
  }

  /** Whether a datagram from there is let in; one that is keeps the way open. */
  admits(from: SocketAddress, now: number): boolean {
    const scope = scopeOf(this.#rule.filtering, from);
    const at =
      this.#rule.filtering === "endpoint-independent" ? this.#usedAt : this.#lastAt.get(scope);
    if (at === undefined || now - at > this.#rule.mappingTimeoutMs) {
      return false;
    }
    this.note(from, now);
    return true;
  }

  isExpired(now: number): boolean {
    return now - this.#usedAt > this.#rule.mappingTimeoutMs;
  }

  #sweep(now: number): void {
    if (this.#lastAt.size >= sweepAbove) {
      for (const [scope, at] of this.#lastAt) {
        if (now - at > this.#rule.mappingTimeoutMs) {
          this.#lastAt.delete(scope);
        }
      }
    }
  }
}

function scopeOf(dependence: EndpointDependence, address: SocketAddress): string {
  switch (dependence) {
    case "endpoint-independent":
      return "*";
    case "address-dependent":
      return address.host;
    case "address-and-port-dependent":
      return formatSocketAddress(address);
    default:
      return dependence satisfies never;
  }
}
