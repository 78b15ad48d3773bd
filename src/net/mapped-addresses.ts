import { hostFromBytes, type SocketAddress, socketAddress } from "../base/socket-address.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { RelayUrl } from "../identity/relay-url.ts";

/**
 * What an address that QUIC sends to stands for: `mixed` for all ways to a peer at once, until one has answered; `relay`
 * for a peer behind a relay.
 */
export type MappedTarget =
  | { readonly type: "mixed"; readonly peer: EndpointId }
  | { readonly type: "relay"; readonly url: RelayUrl; readonly peer: EndpointId };

/** Relays' addresses remembered. A relay can name any number of peers: those heard of longest ago are forgotten first. */
const maxRelayed = 8_192;
/** fd15:70a:510b::/48, as iroh has it; then two bytes of subnet. */
const prefix = Uint8Array.of(0xfd, 0x15, 0x07, 0x0a, 0x51, 0x0b);
const subnets: Record<MappedTarget["type"], number> = { mixed: 0, relay: 1 };
const port = 12345;
const hostPrefix = "fd15:70a:510b:";

/**
 * QUIC knows paths by IP addresses, so what is none gets one: from networks that are iroh's for this purpose, host bits at
 * random so that no peer can name one. They never appear on a network.
 */
export class MappedAddresses {
  readonly #randomFill: (into: Uint8Array) => void;
  readonly #addresses = new Map<string, SocketAddress>();
  readonly #targets = new Map<string, MappedTarget>();
  #relayed = 0;

  constructor(randomFill: (into: Uint8Array) => void) {
    this.#randomFill = randomFill;
  }

  /** The address of a target; the same object for the same target as long as it is remembered. */
  addressOf(target: MappedTarget): SocketAddress {
    const key = keyOf(target);
    const known = this.#addresses.get(key);
    if (known !== undefined) {
      if (target.type === "relay" && this.#relayed > maxRelayed / 2) {
        // Keeps the order: what is used comes last.
        this.#addresses.delete(key);
        this.#addresses.set(key, known);
      }
      return known;
    }
    const address = freshMappedAddress(target.type, this.#randomFill);
    this.#addresses.set(key, address);
    this.#targets.set(address.host, target);
    if (target.type === "relay") {
      this.#relayed += 1;
      this.#forgetOldest();
    }
    return address;
  }

  /** What `address` stands for: undefined for a real one, "forgotten" for one whose target is not remembered. */
  targetOf(address: SocketAddress): MappedTarget | "forgotten" | undefined {
    return isMapped(address) ? (this.#targets.get(address.host) ?? "forgotten") : undefined;
  }

  forget(target: MappedTarget): void {
    const key = keyOf(target);
    const address = this.#addresses.get(key);
    if (address !== undefined) {
      this.#addresses.delete(key);
      this.#targets.delete(address.host);
      this.#relayed -= target.type === "relay" ? 1 : 0;
    }
  }

  #forgetOldest(): void {
    if (this.#relayed <= maxRelayed) {
      return;
    }
    for (const address of this.#addresses.values()) {
      const target = this.#targets.get(address.host);
      if (target?.type === "relay") {
        this.forget(target);
        return;
      }
    }
  }
}

/** An address that stands for something, and that nobody can guess. */
export function freshMappedAddress(
  type: MappedTarget["type"],
  randomFill: (into: Uint8Array) => void,
): SocketAddress {
  const bytes = new Uint8Array(16);
  randomFill(bytes.subarray(8));
  bytes.set(prefix);
  bytes[7] = subnets[type];
  return socketAddress(hostFromBytes(bytes), port);
}

/** True for an address that stands for something else; no peer's real address is in those networks. */
export function isMapped(address: SocketAddress): boolean {
  return address.family === 6 && address.host.startsWith(hostPrefix);
}

function keyOf(target: MappedTarget): string {
  return target.type === "mixed" ? `${target.peer}` : `${target.peer} ${target.url}`;
}
