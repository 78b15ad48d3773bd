import { formatSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import type { ObserverOutcome } from "../net/address-observers.ts";
import type { NatMapping } from "../net/nat-mapping.ts";
import type { FamilyReport, NetReport, RelayReport } from "../net/net-report.ts";
import { formatMs } from "./format-ms.ts";
import { jsonLine } from "./json-line.ts";
import { printable } from "./printable.ts";

/** The lines for people. `own` are the addresses that peers are told of. */
export function describeNetReport(report: NetReport, own: readonly SocketAddress[]): string[] {
  const { udp, ipv4, ipv6, captivePortal, homeRelay } = report;
  return [
    row("UDP", udp === undefined ? notAsked : udp ? "gets through" : "blocked, or nobody answers"),
    row("IPv4", describeFamily(ipv4)),
    row("IPv6", describeFamily(ipv6)),
    row("NAT", natInWords[report.natMapping]),
    row("own addresses", own.length === 0 ? "none" : addressList(own)),
    row("home relay", homeRelay ?? "none"),
    ...(captivePortal === undefined
      ? []
      : [row("captive portal", captivePortal ? "yes: open a web page first" : "no")]),
    ...section("relays", byLatency(report.relays).map(describeRelay)),
    ...section("asked where they see us", report.observers.map(describeObserver)),
  ];
}

/** The report with addresses as text; what is not known is missing. */
export function netReportJson(report: NetReport, own: readonly SocketAddress[]): string {
  return jsonLine({
    ...report,
    ipv4: familyJson(report.ipv4),
    ipv6: familyJson(report.ipv6),
    publicAddresses: report.publicAddresses.map(formatSocketAddress),
    ownAddresses: own.map(formatSocketAddress),
    observers: report.observers.map((outcome) => {
      if (outcome.type === "failed") {
        return outcome;
      }
      const { observation, ...rest } = outcome;
      return { ...rest, address: formatSocketAddress(observation.address) };
    }),
  });
}

const notAsked = "not known: nobody was asked (--stun, --relay with address discovery)";

const natInWords: Readonly<Record<NatMapping, string>> = {
  none: "none: others see an address of this host",
  "endpoint-independent":
    "one address for all destinations (endpoint-independent): direct paths are possible",
  "endpoint-dependent":
    "another address for each destination (symmetric): direct paths to other NATs mostly fail",
  unknown: "not known: it takes two servers with different addresses that say where they see us",
};

function describeFamily({ available, udp, publicAddresses }: FamilyReport): string {
  if (!available) {
    return "no";
  }
  const seen = publicAddresses.length === 0 ? "" : `, seen as ${addressList(publicAddresses)}`;
  return `yes${udp === false ? ", but no answer by UDP" : ""}${seen}`;
}

function describeRelay(relay: RelayReport): string {
  return relay.type === "answered"
    ? `${relay.url}  ${formatMs(relay.latencyMs)}`
    : `${relay.url}  failed: ${printable(relay.error)}`;
}

function describeObserver(outcome: ObserverOutcome): string {
  const { kind, server, family } = outcome;
  const who = `${kind === "stun" ? "STUN" : "relay"} ${server}${family === undefined ? "" : ` over IPv${family}`}`;
  return outcome.type === "answered"
    ? `${who}  ${formatSocketAddress(outcome.observation.address)} in ${formatMs(outcome.latencyMs)}`
    : `${who}  failed: ${printable(outcome.error)}`;
}

/** The fastest first, and those that failed last. */
function byLatency(relays: readonly RelayReport[]): RelayReport[] {
  const latency = (relay: RelayReport): number =>
    relay.type === "answered" ? relay.latencyMs : Number.POSITIVE_INFINITY;
  return [...relays].sort((a, b) => (latency(a) === latency(b) ? 0 : latency(a) - latency(b)));
}

function familyJson({ publicAddresses, ...rest }: FamilyReport): object {
  return { ...rest, publicAddresses: publicAddresses.map(formatSocketAddress) };
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", title, ...lines.map((line) => `  ${line}`)];
}

function row(label: string, text: string): string {
  return `${label.padEnd(labelWidth)}${text}`;
}

function addressList(addresses: readonly SocketAddress[]): string {
  return addresses.map(formatSocketAddress).join(", ");
}

const labelWidth = 16;
