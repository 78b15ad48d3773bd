import { type AddressPlan, peerPort, planAddresses } from "./address-plan.ts";
import { type HostName, hostNames, type Place, type Topology } from "./topology.ts";

/** Under which outside address and port a router shows a peer's port. */
export interface PortMapping {
  readonly inside: string;
  readonly insidePort: number;
  readonly outside: string;
  readonly outsidePort: number;
}

/** What endpoint-independent routers do with the peers' ports. */
export interface PortMappings {
  /** By router. */
  readonly routers: Readonly<Record<string, readonly PortMapping[]>>;
  /**
   * By host, for each place it can be in: the address and port that the internet sees it under, whoever asks. Undefined
   * where there is none: behind a router that maps by destination, or lets no UDP through.
   */
  readonly hosts: Readonly<Record<HostName, readonly (string | undefined)[]>>;
}

/**
 * The mappings of a whole topology. `forgotten` says how often each router has lost its mappings: afterwards it gives out
 * other ports.
 */
export function planPortMappings(
  topology: Topology,
  forgotten: Readonly<Record<string, number>> = {},
): PortMappings {
  const plan = planAddresses(topology);
  const byRouter = new Map<string, PortMapping[]>();
  const hosts = hostNames.map((host, index) => {
    const seen = plan.hosts[host].attachments.map(({ to, ipv4 }) =>
      ipv4 === undefined
        ? undefined
        : climb({ topology, plan, forgotten, byRouter, index }, to, ipv4.address),
    );
    return [host, seen] as const;
  });
  return {
    routers: Object.fromEntries(byRouter),
    hosts: Object.fromEntries(hosts) as Record<HostName, (string | undefined)[]>,
  };
}

interface Climb {
  readonly topology: Topology;
  readonly plan: AddressPlan;
  readonly forgotten: Readonly<Record<string, number>>;
  readonly byRouter: Map<string, PortMapping[]>;
  /** The host's. */
  readonly index: number;
}

/** From a host outwards through the routers that it is behind. */
function climb(context: Climb, from: Place, address: string): string | undefined {
  const { topology, plan, forgotten, byRouter, index } = context;
  let at = { address, port: peerPort };
  for (let place = from; place !== "internet"; ) {
    const router = topology.routers?.[place];
    const outside = plan.routers[place]?.wan.ipv4?.address;
    const { mapping = "endpoint-independent", udp = true } = router ?? {};
    if (outside === undefined || mapping !== "endpoint-independent" || !udp) {
      return undefined;
    }
    const outsidePort = 40_000 + 1_000 * index + 10 * (forgotten[place] ?? 0);
    const mappings = byRouter.get(place) ?? [];
    mappings.push({ inside: at.address, insidePort: at.port, outside, outsidePort });
    byRouter.set(place, mappings);
    at = { address: outside, port: outsidePort };
    place = router?.behind ?? "internet";
  }
  return `${at.address}:${at.port}`;
}
