import type { SocketAddress } from "../base/socket-address.ts";
import { freshMappedAddress } from "./mapped-addresses.ts";

/**
 * A server with several addresses is dialed at all of them at once, but QUIC knows one remote address per path. So a dial
 * goes to an address that stands for the whole set; whatever the engine sends there is sent to every member, until one has
 * answered and the engine has moved to it.
 */
export class SpreadAddresses {
  readonly #sets = new Map<string, readonly SocketAddress[]>();
  readonly #randomFill: (into: Uint8Array) => void;

  constructor(randomFill: (into: Uint8Array) => void) {
    this.#randomFill = randomFill;
  }

  /** The stand-in for `members`, to be given back with {@link remove} when the dial is over. */
  add(members: readonly SocketAddress[]): SocketAddress {
    const address = freshMappedAddress("mixed", this.#randomFill);
    this.#sets.set(address.host, [...members]);
    return address;
  }

  remove(address: SocketAddress): void {
    this.#sets.delete(address.host);
  }

  /** Whom an address stands for; undefined for one that is none of ours. */
  membersOf(address: SocketAddress): readonly SocketAddress[] | undefined {
    return this.#sets.size === 0 ? undefined : this.#sets.get(address.host);
  }
}
