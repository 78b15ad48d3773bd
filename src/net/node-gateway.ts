import { readFileSync } from "node:fs";

/**
 * The IPv4 address of this host's default gateway; undefined where there is none, or no way to know it: Node.js does not
 * say, Linux does.
 */
export function nodeGateway(): string | undefined {
  try {
    return process.platform === "linux"
      ? defaultGatewayOf(readFileSync("/proc/net/route", "latin1"))
      : undefined;
  } catch {
    return undefined;
  }
}

/** RTF_UP and RTF_GATEWAY of linux/route.h. */
const routeFlags = 0x01 | 0x02;

/**
 * The gateway of the default route with the lowest metric in /proc/net/route: interface, destination, gateway, flags (hex),
 * reference count, use, metric (decimal), mask; addresses as 32-bit numbers of this machine, which are little-endian.
 */
export function defaultGatewayOf(table: string): string | undefined {
  const [best] = table
    .split("\n")
    .map((line) => line.split("\t"))
    .flatMap(([, destination, gateway = "", flags = "", , , metric, mask]) =>
      destination === "00000000" &&
      mask === "00000000" &&
      /^[0-9A-F]{8}$/.test(gateway) &&
      (Number.parseInt(flags, 16) & routeFlags) === routeFlags
        ? [{ gateway, metric: Number(metric) }]
        : [],
    )
    .sort((one, other) => one.metric - other.metric);
  return best && Buffer.from(best.gateway, "hex").reverse().join(".");
}
