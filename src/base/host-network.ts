import { hostToBytes, isMappedIpv4 } from "./socket-address.ts";

/**
 * The same text for all addresses that one host can be expected to have: an IPv4 address, or an IPv6 network of 64 bits
 * (RFC 4291 §2.5.4). For limits on what one host may do. Throws TypeError for what is no IP address.
 */
export function hostNetwork(host: string): string {
  const bytes = hostToBytes(host);
  const isIpv4 = bytes.length === 4 || isMappedIpv4(bytes);
  return (isIpv4 ? bytes.subarray(-4) : bytes.subarray(0, 8)).join(isIpv4 ? "." : ":");
}
