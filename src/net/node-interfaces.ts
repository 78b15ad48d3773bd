import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { hostFromBytes, socketAddress } from "../base/socket-address.ts";
import type { InterfaceAddress } from "./network.ts";

/**
 * The addresses of the interfaces that are up, as the system tells. Never throws: where the system refuses to say (some
 * sandboxes do), there are none.
 */
export function nodeInterfaces(): InterfaceAddress[] {
  let interfaces: ReturnType<typeof networkInterfaces>;
  try {
    interfaces = networkInterfaces();
  } catch {
    return [];
  }
  const shortLived = process.platform === "linux" ? readShortLived() : new Set<string>();
  return Object.entries(interfaces).flatMap(([interfaceName, entries]) =>
    (entries ?? []).map((entry) => {
      const { family, host } = socketAddress(entry.address, 0);
      return {
        interfaceName,
        host,
        family,
        internal: entry.internal,
        ...(shortLived.has(host) ? { shortLived: true } : {}),
      };
    }),
  );
}

function readShortLived(): Set<string> {
  try {
    return shortLivedOf(readFileSync("/proc/net/if_inet6", "latin1"));
  } catch {
    // A kernel without IPv6.
    return new Set();
  }
}

/** IFA_F_TEMPORARY and IFA_F_DEPRECATED of linux/if_addr.h. */
const shortLivedFlags = 0x01 | 0x20;

/** The hosts among those that /proc/net/if_inet6 lists: address, index, prefix length, scope, flags (hex), and a name. */
export function shortLivedOf(table: string): Set<string> {
  const hosts = new Set<string>();
  for (const line of table.split("\n")) {
    const [, address = "", flags = ""] =
      /^([0-9a-f]{32}) +[0-9a-f]+ +[0-9a-f]+ +[0-9a-f]+ +([0-9a-f]{2,}) /.exec(line) ?? [];
    if ((Number.parseInt(flags, 16) & shortLivedFlags) !== 0) {
      hosts.add(hostFromBytes(Uint8Array.from(Buffer.from(address, "hex"))));
    }
  }
  return hosts;
}
