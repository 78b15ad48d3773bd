// What a network of the laboratory looks like: an internet in the middle, routers with NAT on it or behind each other, and
// the two hosts with a peer each.

/** Between which a router translates, and what it lets in. Names of behaviours are RFC 4787's. */
export interface Router {
  /** The router that it is behind. Default: none, it stands on the internet. */
  readonly behind?: string;
  /**
   * Which outside port packets from one inside port get (RFC 4787 §4.1): always the same, which is not that of the inside,
   * or for each destination another one, as a "symmetric" NAT has it. Default "endpoint-independent".
   */
  readonly mapping?: "endpoint-independent" | "address-and-port-dependent";
  /**
   * Who may send to a mapped port (RFC 4787 §5): whom the inside has sent to, address and port, or anybody, as a "full
   * cone" NAT has it. Default "address-and-port-dependent".
   */
  readonly filtering?: "endpoint-independent" | "address-and-port-dependent";
  /** Whether inside hosts reach each other by their outside addresses (RFC 4787 §6). Default false. */
  readonly hairpin?: boolean;
  /** Whether UDP passes at all. Default true. */
  readonly udp?: boolean;
}

/** Where a host is: on the internet, with an address of its own and no filter, or behind a router. */
export type Place = "internet" | (string & {});

export interface Host {
  readonly at: Place;
  /** Where it goes when it moves: its first interface goes down, and a second one comes up there. Default: it cannot. */
  readonly movesTo?: Place;
  /** Which addresses it has. IPv6 is routed, with a stateful filter, but not translated. Default "ipv4". */
  readonly families?: "ipv4" | "ipv6" | "both";
}

/** Peer `a` dials, peer `b` is dialed. */
export type HostName = "a" | "b";

export const hostNames: readonly HostName[] = ["a", "b"];

export interface Topology {
  /** By name: lower-case letters, at most eight. Default: none. */
  readonly routers?: Readonly<Record<string, Router>>;
  readonly hosts: Readonly<Record<HostName, Host>>;
}
