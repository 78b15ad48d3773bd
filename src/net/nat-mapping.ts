import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import type { Observation } from "./observation.ts";

/**
 * What stands between this host and the network, in the words of RFC 4787 §4.1:
 *
 * - "none": our own address is what others see
 * - "endpoint-independent": one address for all that we send to, so that others can send there: punching works
 * - "endpoint-dependent": another address for each that we send to ("symmetric"): punching mostly fails
 * - "unknown": too few were asked, or have answered; it takes two hosts
 */
export type NatMapping = "none" | "endpoint-independent" | "endpoint-dependent" | "unknown";

/**
 * Judges by what several observers have seen of one socket, observations of one IP family.
 *
 * @param local the addresses of this host with the port of the socket
 */
export function natMapping(
  observations: readonly Observation[],
  local: readonly SocketAddress[],
): NatMapping {
  const seen = new Set(observations.map(({ address }) => formatSocketAddress(address)));
  const observers = new Set(observations.map(({ observer }) => observer.host));
  if (seen.size === 0) {
    return "unknown";
  }
  if (local.some((address) => seen.has(formatSocketAddress(address)))) {
    // Whoever sees something else has a NAT of its own in between, or lies.
    return "none";
  }
  if (seen.size > 1) {
    return "endpoint-dependent";
  }
  return observers.size > 1 ? "endpoint-independent" : "unknown";
}
