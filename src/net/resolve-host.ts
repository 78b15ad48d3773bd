import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { type SocketAddress, socketAddress } from "../base/socket-address.ts";

/**
 * The addresses of a host, which is a name or an IP address, by the system's resolver. Rejects with what that says when
 * there are none.
 */
export async function resolveHost(host: string, port: number): Promise<SocketAddress[]> {
  if (isIP(host) !== 0) {
    return [socketAddress(host, port)];
  }
  const found = await lookup(host, { all: true });
  return found.map(({ address }) => socketAddress(address, port));
}
