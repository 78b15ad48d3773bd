import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import { dialableAddresses } from "./dialable-addresses.ts";
import { reachableAddresses } from "./local-addresses.ts";
import type { NatMapping } from "./nat-mapping.ts";
import type { InterfaceAddress } from "./network.ts";
import { isLoopback, isUnicast, mostSeen, type Observation } from "./observation.ts";

/** An address at which this endpoint may be reached, and how it is known. */
export interface OwnAddress {
  /**
   * - "configured": the user said so
   * - "port-mapping": the gateway promised to forward it
   * - "observed": servers have seen our datagrams come from there
   * - "predicted": the host that servers have seen, with our own port, for NATs that give each destination another one
   * - "interface": an address of this host
   */
  readonly type: "configured" | "port-mapping" | "observed" | "predicted" | "interface";
  readonly address: SocketAddress;
}

export interface AddressSources {
  /** Where the sockets are bound, at most one a family. */
  readonly bound: readonly SocketAddress[];
  readonly interfaces: readonly InterfaceAddress[];
  /** Plausible ones, the oldest first, one for each observer. */
  readonly observations: readonly Observation[];
  /** Of IPv4: no IPv6 network gives addresses by destination. */
  readonly natMapping: NatMapping;
  readonly mapped: SocketAddress | undefined;
  /** Port 0 stands for the port that is bound. */
  readonly configured: readonly SocketAddress[];
}

/** As many as fit into the NAT traversal of QUIC (as iroh configures it). */
export const maxOwnAddresses = 32;

/**
 * All addresses at which others may try to reach us, each once, the most promising first, at most
 * {@link maxOwnAddresses}.
 */
export function candidateAddresses(sources: AddressSources): OwnAddress[] {
  const { bound, observations, mapped } = sources;
  const observedIpv4 = mostSeen(observations, 4);
  const byType: Record<OwnAddress["type"], readonly SocketAddress[]> = {
    configured: withBoundPorts(sources.configured, bound),
    "port-mapping":
      mapped !== undefined && isUnicast(mapped) && !isLoopback(mapped) ? [mapped] : [],
    observed: [...observedIpv4, ...mostSeen(observations, 6)],
    predicted:
      sources.natMapping === "endpoint-dependent"
        ? withBoundPorts(
            observedIpv4.map((address) => ({ ...address, port: 0 })),
            bound,
          )
        : [],
    interface: reachableAddresses(bound, sources.interfaces),
  };
  const known = new Map<string, OwnAddress>();
  for (const type of Object.keys(byType) as OwnAddress["type"][]) {
    for (const address of dialableAddresses(byType[type])) {
      const text = formatSocketAddress(address);
      if (!known.has(text)) {
        known.set(text, { type, address });
      }
    }
  }
  return [...known.values()].slice(0, maxOwnAddresses);
}

function withBoundPorts(
  addresses: readonly SocketAddress[],
  bound: readonly SocketAddress[],
): SocketAddress[] {
  return addresses.map((address) => {
    const port = bound.find(({ family }) => family === address.family)?.port ?? 0;
    return address.port === 0 ? { ...address, port } : address;
  });
}
