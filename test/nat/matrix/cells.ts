import type { Topology } from "../lab/topology.ts";
import type { PathKind } from "../peer/peer-protocol.ts";
import type { PairName } from "./pairs.ts";

/** A network that peers have to reach each other in. */
export interface Cell {
  readonly name: string;
  readonly about: string;
  readonly topology: Topology;
  /** The best path that is possible there, in theory. */
  readonly expected: PathKind;
  /** Of a hundred packets so many are lost. Default 0. */
  readonly lossPercent?: number;
  /** The dialer knows the id alone, and finds the rest in a directory: by DNS what was published with pkarr. */
  readonly byId?: boolean;
  /** Who can do what is wanted. Default: all. */
  readonly pairs?: readonly PairName[];
  /** How long a packet takes from or to the middle of the internet, instead of what is usual. Milliseconds. */
  readonly delayMs?: number;
}

const symmetric = { mapping: "address-and-port-dependent" } as const;
const fullCone = { filtering: "endpoint-independent" } as const;

export const cells: readonly Cell[] = [
  {
    name: "open-open",
    about: "both on the internet",
    topology: { hosts: { a: { at: "internet" }, b: { at: "internet" } } },
    expected: "direct",
  },
  {
    name: "nat-open",
    about: "the dialer behind a NAT",
    topology: { routers: { home: {} }, hosts: { a: { at: "home" }, b: { at: "internet" } } },
    expected: "direct",
  },
  {
    name: "open-nat",
    about: "the dialed one behind a NAT",
    topology: { routers: { home: {} }, hosts: { a: { at: "internet" }, b: { at: "home" } } },
    expected: "direct",
  },
  {
    name: "nat-nat",
    about: "both behind NATs whose mapping does not depend on the destination",
    topology: {
      routers: { home: {}, office: {} },
      hosts: { a: { at: "home" }, b: { at: "office" } },
    },
    expected: "direct",
  },
  {
    name: "nat-symmetric",
    about: "the dialed one's NAT maps by destination, the dialer's filters by port",
    topology: {
      routers: { home: {}, office: symmetric },
      hosts: { a: { at: "home" }, b: { at: "office" } },
    },
    expected: "relay",
  },
  {
    name: "cone-symmetric",
    about: "the dialed one's NAT maps by destination, the dialer's filters nothing",
    topology: {
      routers: { home: fullCone, office: symmetric },
      hosts: { a: { at: "home" }, b: { at: "office" } },
    },
    expected: "direct",
  },
  {
    name: "symmetric-symmetric",
    about: "both NATs map by destination",
    topology: {
      routers: { home: symmetric, office: symmetric },
      hosts: { a: { at: "home" }, b: { at: "office" } },
    },
    expected: "relay",
  },
  {
    name: "same-lan",
    about: "both in one network, behind a NAT without hairpin",
    topology: { routers: { home: {} }, hosts: { a: { at: "home" }, b: { at: "home" } } },
    expected: "direct",
  },
  {
    name: "double-nat",
    about: "the dialed one behind a home NAT and a carrier's",
    topology: {
      routers: { home: {}, carrier: {}, flat: { behind: "carrier" } },
      hosts: { a: { at: "home" }, b: { at: "flat" } },
    },
    expected: "direct",
  },
  {
    name: "no-hairpin",
    about: "in two homes of one carrier, whose NAT has no hairpin",
    topology: {
      routers: { carrier: {}, home: { behind: "carrier" }, flat: { behind: "carrier" } },
      hosts: { a: { at: "home" }, b: { at: "flat" } },
    },
    expected: "relay",
  },
  {
    name: "hairpin",
    about: "in two homes of one carrier, whose NAT has hairpin",
    topology: {
      routers: {
        carrier: { hairpin: true },
        home: { behind: "carrier" },
        flat: { behind: "carrier" },
      },
      hosts: { a: { at: "home" }, b: { at: "flat" } },
    },
    expected: "direct",
  },
  {
    name: "udp-blocked-dialer",
    about: "no UDP leaves the dialer's network",
    topology: {
      routers: { hotel: { udp: false } },
      hosts: { a: { at: "hotel" }, b: { at: "internet" } },
    },
    expected: "relay",
  },
  {
    name: "udp-blocked-both",
    about: "no UDP leaves either network",
    topology: {
      routers: { hotel: { udp: false }, office: { udp: false } },
      hosts: { a: { at: "hotel" }, b: { at: "office" } },
    },
    expected: "relay",
  },
  {
    name: "ipv6-dual",
    about: "the dialer has IPv6 alone, the dialed one both, behind a NAT and a filter",
    topology: {
      routers: { home: {} },
      hosts: { a: { at: "internet", families: "ipv6" }, b: { at: "home", families: "both" } },
    },
    expected: "direct",
  },
  {
    name: "by-id",
    about: "as nat-nat, dialed by id alone; npm's iroh cannot be given a directory",
    topology: {
      routers: { home: {}, office: {} },
      hosts: { a: { at: "home" }, b: { at: "office" } },
    },
    expected: "direct",
    byId: true,
    pairs: ["ours-ours"],
  },
  {
    name: "lossy",
    about: "as nat-nat, with 5 % loss and 100 ms on the way",
    topology: {
      routers: { home: {}, office: {} },
      hosts: { a: { at: "home" }, b: { at: "office" } },
    },
    expected: "direct",
    lossPercent: 5,
    delayMs: 50,
  },
];
