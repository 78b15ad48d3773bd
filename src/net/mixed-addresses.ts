import { hostFromBytes, type SocketAddress, socketAddress } from "../base/socket-address.ts";

/**
 * A peer is dialed at all its addresses at once, but QUIC knows one remote address per path. So a dial goes to an
 * address that stands for the whole set; whatever the engine sends there is sent to every member, until one has
 * answered and the engine has moved to it.
 *
 * The addresses are iroh's "mixed" kind: fd15:70a:510b::/64, host bits at random so that no peer can name one, port
 * 12345. They never appear on a network: {@link MixedAddresses.resolve} swallows those that it does not know.
 */
export class MixedAddresses {
  readonly #sets = new Map<string, readonly SocketAddress[]>();
  readonly #randomFill: (into: Uint8Array) => void;

  constructor(randomFill: (into: Uint8Array) => void) {
    this.#randomFill = randomFill;
  }

  /** The stand-in for `members`, to be given back with {@link remove} when the dial is over. */
  add(members: readonly SocketAddress[]): SocketAddress {
    const bytes = new Uint8Array(16);
    this.#randomFill(bytes.subarray(8));
    bytes.set(prefix);
    const mixed = socketAddress(hostFromBytes(bytes), port);
    this.#sets.set(mixed.host, [...members]);
    return mixed;
  }

  remove(mixed: SocketAddress): void {
    this.#sets.delete(mixed.host);
  }

  /** Where a datagram for `to` goes: to each member, nowhere for a set that is gone, or undefined for a real address. */
  resolve(to: SocketAddress): readonly SocketAddress[] | undefined {
    return isMixed(to) ? (this.#sets.get(to.host) ?? []) : undefined;
  }
}

const prefix = Uint8Array.of(0xfd, 0x15, 0x07, 0x0a, 0x51, 0x0b, 0, 0);
const port = 12345;
const hostPrefix = "fd15:70a:510b:0:";

/** True for an address of the kind; no peer's real address is in that network. */
export function isMixed(address: SocketAddress): boolean {
  return (
    address.family === 6 &&
    (address.host.startsWith(hostPrefix) || address.host.startsWith("fd15:70a:510b::"))
  );
}
