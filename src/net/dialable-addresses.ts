import {
  hostFromBytes,
  hostToBytes,
  isMappedIpv4,
  type SocketAddress,
  socketAddress,
} from "../base/socket-address.ts";

/**
 * The addresses to which a datagram can be sent, each once: IPv4 ones in IPv6 clothes (::ffff:a.b.c.d) as what they are,
 * and none with port 0 or an unspecified host, which stand for any.
 */
export function dialableAddresses(addresses: readonly SocketAddress[]): SocketAddress[] {
  const dialable = new Map<string, SocketAddress>();
  for (const address of addresses.map(unmapped)) {
    if (address.port !== 0 && address.host !== "0.0.0.0" && address.host !== "::") {
      dialable.set(`${address.host} ${address.port}`, address);
    }
  }
  return [...dialable.values()];
}

/** An IPv4 address in IPv6 clothes as what it is, any other as it came. */
export function unmapped(address: SocketAddress): SocketAddress {
  if (address.family === 4) {
    return address;
  }
  const bytes = hostToBytes(address.host);
  return isMappedIpv4(bytes)
    ? socketAddress(hostFromBytes(bytes.subarray(12)), address.port)
    : address;
}
