import { hostToBytes } from "../base/socket-address.ts";
import type { InterfaceAddress } from "./network.ts";

/**
 * The IPv4 address of this host that lies nearest to the gateway's: in the same network, as a rule. Throws where there is
 * none.
 */
export function hostTowards(interfaces: readonly InterfaceAddress[], gateway: string): string {
  const [nearest] = interfaces
    .filter(({ family }) => family === 4)
    .map(({ host }) => ({ host, bits: commonBits(host, gateway) }))
    .sort((one, other) => other.bits - one.bits);
  if (nearest === undefined) {
    throw new Error("this host has no IPv4 address");
  }
  return nearest.host;
}

/** Of two IPv4 addresses, from the front. */
function commonBits(one: string, other: string): number {
  const value = (host: string): number => new DataView(hostToBytes(host).buffer).getUint32(0);
  return Math.clz32(value(one) ^ value(other));
}
