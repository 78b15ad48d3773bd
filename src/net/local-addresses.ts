import { networkInterfaces } from "node:os";
import { type SocketAddress, socketAddress } from "../base/socket-address.ts";

/**
 * Where peers may reach sockets bound to `bound`: an unspecified host stands for the addresses of all interfaces,
 * without loopback as long as there is another, and without link-local ones, which mean nothing elsewhere.
 */
export function reachableAddresses(bound: readonly SocketAddress[]): SocketAddress[] {
  const usable = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((entry) => !isLinkLocal(entry.address));
  const external = usable.filter((entry) => !entry.internal);
  const offered = external.length > 0 ? external : usable;
  return bound.flatMap((address) =>
    address.host === "0.0.0.0" || address.host === "::"
      ? offered
          .filter((entry) => entry.family === `IPv${address.family}`)
          .map((entry) => socketAddress(entry.address, address.port))
      : [address],
  );
}

function isLinkLocal(host: string): boolean {
  return host.startsWith("169.254.") || /^fe[89ab]/i.test(host);
}
