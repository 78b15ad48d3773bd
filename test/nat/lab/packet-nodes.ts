/**
 * The numbers of the nodes on the internet that an IP packet goes between, as address-plan.ts has them in the addresses:
 * 198.51.100.n, 2001:db8::n and 2001:db8:n::/64. 0 for what is neither.
 */
export function packetNodes(packet: Uint8Array): readonly [source: number, destination: number] {
  const version = (packet[0] ?? 0) >> 4;
  if (version === 4 && packet.length >= 20) {
    return [packet[15] ?? 0, packet[19] ?? 0];
  }
  if (version === 6 && packet.length >= 40) {
    return [ipv6Node(packet, 8), ipv6Node(packet, 24)];
  }
  return [0, 0];
}

function ipv6Node(packet: Uint8Array, offset: number): number {
  const prefix = packet[offset + 5] ?? 0;
  // Our text has decimal digits for the prefix, which are hexadecimal ones to the network.
  return prefix === 0 ? (packet[offset + 15] ?? 0) : Number(prefix.toString(16));
}
