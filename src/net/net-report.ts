import type { SocketAddress } from "../base/socket-address.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { ObserverOutcome } from "./address-observers.ts";
import { isLinkLocal, socketAddresses } from "./local-addresses.ts";
import { type NatMapping, natMapping } from "./nat-mapping.ts";
import type { InterfaceAddress } from "./network.ts";
import { isLoopback, mostSeen } from "./observation.ts";

/** What was found out about the network; see {@link summarizeNetReport}. */
export interface NetReport {
  /** Whether datagrams come back from the network; undefined when nobody was asked. */
  readonly udp: boolean | undefined;
  readonly ipv4: FamilyReport;
  readonly ipv6: FamilyReport;
  /** Where the network sees us, in both families. */
  readonly publicAddresses: readonly SocketAddress[];
  /** Of IPv4, which is where NATs are, or of IPv6 in a network without IPv4. */
  readonly natMapping: NatMapping;
  /** In the order in which they were given. */
  readonly relays: readonly RelayReport[];
  /** The relay to be found at; undefined without relays, or when none has ever answered. */
  readonly homeRelay: RelayUrl | undefined;
  /** Whether a page asks to be agreed to before there is a network; undefined when that was not found out. */
  readonly captivePortal: boolean | undefined;
  /** Who was asked for our address, and what came of it. */
  readonly observers: readonly ObserverOutcome[];
}

export interface FamilyReport {
  /** Whether the host has an address of this family besides loopback, and a socket is bound in it. */
  readonly available: boolean;
  /** As {@link NetReport.udp}. */
  readonly udp: boolean | undefined;
  /** Where the network sees us; several where observers do not agree. */
  readonly publicAddresses: readonly SocketAddress[];
  readonly natMapping: NatMapping;
}

/** A relay has answered, or the reason why it has not. */
export type RelayReport =
  | { readonly type: "answered"; readonly url: RelayUrl; readonly latencyMs: number }
  | { readonly type: "failed"; readonly url: RelayUrl; readonly error: string };

/** What {@link summarizeNetReport} has to go by. */
export interface NetFindings {
  /** Where the sockets are bound. */
  readonly bound: readonly SocketAddress[];
  readonly interfaces: readonly InterfaceAddress[];
  readonly observers: readonly ObserverOutcome[];
  readonly relays: readonly RelayReport[];
  readonly homeRelay: RelayUrl | undefined;
  readonly captivePortal: boolean | undefined;
}

export function summarizeNetReport(findings: NetFindings): NetReport {
  const { observers, relays, homeRelay, captivePortal } = findings;
  const ipv4 = familyReport(4, findings);
  const ipv6 = familyReport(6, findings);
  return {
    udp: hasUdp(observers),
    ipv4,
    ipv6,
    publicAddresses: [...ipv4.publicAddresses, ...ipv6.publicAddresses],
    natMapping: ipv4.available ? ipv4.natMapping : ipv6.natMapping,
    relays,
    homeRelay,
    captivePortal,
    observers,
  };
}

function familyReport(family: 4 | 6, findings: NetFindings): FamilyReport {
  const { bound, interfaces, observers } = findings;
  const local = socketAddresses(bound, interfaces).filter((address) => address.family === family);
  const asked = observers.filter((outcome) => outcome.family === family);
  const observations = asked.flatMap((outcome) =>
    outcome.type === "answered" ? [outcome.observation] : [],
  );
  return {
    available: local.some((address) => !isLoopback(address) && !isLinkLocal(address.host)),
    udp: hasUdp(asked),
    publicAddresses: mostSeen(observations, family),
    natMapping: natMapping(observations, local),
  };
}

function hasUdp(outcomes: readonly ObserverOutcome[]): boolean | undefined {
  const asked = outcomes.filter(({ family }) => family !== undefined);
  return asked.length === 0 ? undefined : asked.some(({ type }) => type === "answered");
}
