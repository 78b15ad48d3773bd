import { type SocketAddress, socketAddress } from "../base/socket-address.ts";
import type { InterfaceAddress } from "./network.ts";

/**
 * All addresses of sockets bound to `bound`, on a host with these `interfaces`: an unspecified host stands for the
 * addresses of all interfaces.
 */
export function socketAddresses(
  bound: readonly SocketAddress[],
  interfaces: readonly InterfaceAddress[],
): SocketAddress[] {
  return bound.flatMap((address) =>
    address.host === "0.0.0.0" || address.host === "::"
      ? interfaces
          .filter((entry) => entry.family === address.family)
          .map((entry) => socketAddress(entry.host, address.port))
      : [address],
  );
}

/**
 * Where peers may reach sockets bound to `bound`, on a host with these `interfaces`: an unspecified host stands for the
 * addresses of all interfaces, without loopback as long as there is another. Left out are link-local ones, which mean
 * nothing elsewhere, and short-lived IPv6 ones where the interface has another.
 */
export function reachableAddresses(
  bound: readonly SocketAddress[],
  interfaces: readonly InterfaceAddress[],
): SocketAddress[] {
  const usable = interfaces.filter((entry) => !isLinkLocal(entry.host));
  const external = usable.filter((entry) => !entry.internal);
  const lasting = external.filter(
    (entry) => entry.shortLived !== true || !external.some((other) => isLastingTwin(other, entry)),
  );
  return socketAddresses(bound, lasting.length > 0 ? lasting : usable);
}

function isLastingTwin(other: InterfaceAddress, entry: InterfaceAddress): boolean {
  return (
    other.shortLived !== true &&
    other.interfaceName === entry.interfaceName &&
    other.family === entry.family
  );
}

/** True for 169.254.0.0/16 (RFC 3927) and fe80::/10 (RFC 4291 §2.5.6). */
export function isLinkLocal(host: string): boolean {
  return host.startsWith("169.254.") || /^fe[89ab][0-9a-f]:/i.test(host);
}
