import { formatSocketAddress, hostToBytes, type SocketAddress } from "../base/socket-address.ts";
import { isLinkLocal } from "./local-addresses.ts";

/** From where a server on the network has seen our datagrams come: what a NAT, or nothing, makes of our address. */
export interface Observation {
  /** The address that was asked: which of several observers this is. */
  readonly observer: SocketAddress;
  readonly address: SocketAddress;
}

/**
 * Whether what an observer says can be true at all and be dialed by others: of the family in which it was asked, with a
 * port, and no address that stands for any, for many or for the link alone. Loopback is where only an observer on the same
 * host sees us. Private addresses pass: observers may be within the same company.
 */
export function isPlausible({ observer, address }: Observation): boolean {
  return (
    address.family === observer.family &&
    address.port !== 0 &&
    isUnicast(address) &&
    (!isLoopback(address) || isLoopback(observer)) &&
    !isLinkLocal(address.host)
  );
}

/** False for unspecified, multicast, reserved and broadcast addresses, to which no datagram for one host can go. */
export function isUnicast({ host }: SocketAddress): boolean {
  const bytes = hostToBytes(host);
  const [first = 0] = bytes;
  // 0.0.0.0/8, 224.0.0.0/4 and 240.0.0.0/4 (RFC 6890 §2.2.2); ::, and ff00::/8 (RFC 4291 §2.5.2, §2.7).
  return bytes.length === 4
    ? first !== 0 && first < 224
    : first !== 0xff && bytes.some((byte) => byte !== 0);
}

export function isLoopback({ host }: SocketAddress): boolean {
  return host === "::1" || /^(?:::ffff:)?127\./.test(host);
}

/** Of each family: a server that lies costs those who dial us no more than this. */
const maxSeen = 2;

/** The addresses of a family that most observers agree on, at most two; among equals those that come first. */
export function mostSeen(observations: readonly Observation[], family: 4 | 6): SocketAddress[] {
  const counts = new Map<string, { readonly address: SocketAddress; observers: number }>();
  for (const { address } of observations.filter((one) => one.address.family === family)) {
    const text = formatSocketAddress(address);
    const count = counts.get(text) ?? { address, observers: 0 };
    count.observers += 1;
    counts.set(text, count);
  }
  return [...counts.values()]
    .sort((one, other) => other.observers - one.observers)
    .slice(0, maxSeen)
    .map(({ address }) => address);
}
