import { type HostName, hostNames, type Place, type Router, type Topology } from "./topology.ts";

/** Where peers listen on their hosts: it has to be known, so that a router can map it always to the same port. */
export const peerPort = 4433;

/** The middle of the internet, as a gateway. */
export const coreAddress = { ipv4: "198.51.100.1", ipv6: "fe80::1" } as const;

/** Where relay, STUN server and DNS server are. */
export const servicesNode = 2;

/** How an interface is set up: addresses with the length of their network, and where everything else goes. */
export interface Attachment {
  readonly to: Place;
  readonly ipv4?: { readonly address: string; readonly length: number; readonly gateway: string };
  readonly ipv6?: { readonly address: string; readonly length: number; readonly gateway: string };
}

export interface RouterPlan {
  /** Its number in all addresses. */
  readonly node: number;
  readonly wan: Attachment;
  /** The network behind it. */
  readonly lan: { readonly subnet: string; readonly address: string; readonly subnet6: string };
}

export interface HostPlan {
  readonly node: number;
  /** Where it is, then where it moves to. */
  readonly attachments: readonly Attachment[];
}

export interface AddressPlan {
  readonly routers: Readonly<Record<string, RouterPlan>>;
  readonly hosts: Readonly<Record<HostName, HostPlan>>;
}

/** What a node on the internet is reached by. */
export function publicAddress(node: number): { readonly ipv4: string; readonly ipv6: string } {
  return { ipv4: `198.51.100.${node}`, ipv6: `2001:db8::${node.toString(16)}` };
}

/** Gives every interface an address. Throws for a topology that names a router which is not there. */
export function planAddresses(topology: Topology): AddressPlan {
  const specs = topology.routers ?? {};
  const names = Object.keys(specs);
  const numberOf = (router: string): number => {
    const index = names.indexOf(router);
    if (index < 0) {
      throw new RangeError(`no router ${router} in the topology`);
    }
    return firstRouter + index;
  };
  const attach = (node: number, to: Place, ipv4: boolean, ipv6: boolean): Attachment => {
    const outside = publicAddress(node);
    const router = to === "internet" ? undefined : numberOf(to);
    const subnet = router === undefined ? "" : subnetOf(router, isCarrier(specs, to));
    return {
      to,
      ...(ipv4 && {
        ipv4:
          router === undefined
            ? { address: outside.ipv4, length: 32, gateway: coreAddress.ipv4 }
            : { address: `${subnet}.${node}`, length: 24, gateway: `${subnet}.1` },
      }),
      ...(ipv6 && {
        ipv6: {
          address: router === undefined ? outside.ipv6 : `${subnet6Of(router)}::${node}`,
          length: router === undefined ? 128 : 64,
          gateway: coreAddress.ipv6,
        },
      }),
    };
  };
  const routers = names.map((name) => {
    const node = numberOf(name);
    const subnet = subnetOf(node, isCarrier(specs, name));
    const uplink = specs[name]?.behind ?? "internet";
    const plan: RouterPlan = {
      node,
      wan: attach(node, uplink, true, uplink === "internet"),
      lan: {
        subnet: `${subnet}.0/24`,
        address: `${subnet}.1`,
        subnet6: `${subnet6Of(node)}::/64`,
      },
    };
    return [name, plan] as const;
  });
  const host = (name: HostName): HostPlan => {
    const { at, movesTo, families = "ipv4" } = topology.hosts[name];
    const node = firstHost + hostNames.indexOf(name);
    const places = movesTo === undefined ? [at] : [at, movesTo];
    return {
      node,
      attachments: places.map((place) =>
        attach(node, place, families !== "ipv6", families !== "ipv4"),
      ),
    };
  };
  return { routers: Object.fromEntries(routers), hosts: { a: host("a"), b: host("b") } };
}

/** Whether other routers are behind it. */
function isCarrier(routers: Readonly<Record<string, Router>>, name: string): boolean {
  return Object.values(routers).some(({ behind }) => behind === name);
}

/** The first three bytes: of RFC 1918, or of RFC 6598 between a carrier and its customers. */
function subnetOf(router: number, carrier: boolean): string {
  return carrier ? `100.64.${router}` : `192.168.${router}`;
}

function subnet6Of(router: number): string {
  return `2001:db8:${router}`;
}

const firstRouter = 10;
const firstHost = 50;
