// What peers tell each other in a local network: DNS service discovery (RFC 6763) over multicast DNS (RFC 6762), as iroh's
// local discovery does it. Its readers want SRV and TXT among the answers and A and AAAA among the additional records of
// one message, all of exactly the class IN.

import type { SocketAddress } from "../base/socket-address.ts";
import { socketAddress } from "../base/socket-address.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import { parseRelayUrl } from "../identity/relay-url.ts";
import type { TransportAddr } from "../identity/transport-addr.ts";
import {
  type DnsData,
  type DnsMessage,
  type DnsRecord,
  dnsAnswerFlags,
  dnsClassIn,
  dnsType,
  encodeDnsMessage,
  txtText,
} from "./dns-message.ts";
import { type EndpointInfo, maxUserDataBytes } from "./endpoint-info.ts";

const service = "_irohv1._udp.local";
/** Seconds. */
const ttl = 120;
/** What fits a datagram everywhere, and the buffer of iroh's readers. Bytes. */
const maxMessageBytes = 1_452;
/** Key, `=` and value of an attribute. UTF-8 bytes. */
const maxAttributeBytes = 255;
/** Of one peer in one message. */
const maxAddrs = 30;
/** In one message. */
const maxPeers = 32;

/** Asks all peers of the network to say where they are. */
export const localQuery: Uint8Array = encodeDnsMessage({
  flags: 0,
  questions: [{ name: service, type: dnsType.ptr, class: dnsClassIn }],
  answers: [],
  additionals: [],
});

export function isLocalQuery({ flags, questions }: DnsMessage): boolean {
  return (
    (flags & 0x8000) === 0 &&
    questions.some(({ name, type }) => name.toLowerCase() === service && type === dnsType.ptr)
  );
}

/** How a peer is called in its network. */
export function localName(id: EndpointId): string {
  return id.toBase32();
}

/**
 * The answer of a peer to a query: IP addresses, as many as fit a datagram, the first relay, user data. Undefined for a
 * peer without an IP address, as nobody could use it.
 */
export function encodeLocalPeer(id: EndpointId, info: EndpointInfo): Uint8Array | undefined {
  const addresses = info.addrs.flatMap((addr) => (addr.type === "ip" ? [addr.address] : []));
  for (let count = Math.min(addresses.length, maxAddrs); count > 0; count -= 1) {
    const message = encodeDnsMessage(toMessage(localName(id), addresses.slice(0, count), info));
    if (message.length <= maxMessageBytes) {
      return message;
    }
  }
  return undefined;
}

/** What a message says of peers, by their names; nothing of peers without an address. */
export function readLocalPeers({
  flags,
  answers,
  additionals,
}: DnsMessage): Map<string, EndpointInfo> {
  const peers = new Map<string, EndpointInfo>();
  if ((flags & 0x8000) === 0) {
    return peers;
  }
  // Other responders put addresses among the answers, and a flag into the class.
  const records = [...answers, ...additionals].filter(
    (record) => (record.class & 0x7fff) === dnsClassIn,
  );
  const hosts = hostsByTarget(records);
  const texts = new Map<string, readonly Uint8Array[]>();
  const addrs = new Map<string, TransportAddr[]>();
  for (const { name, data } of records) {
    const peer = peerOf(name);
    if (peer === undefined) {
      continue;
    }
    if (data.type === "TXT" && !texts.has(peer)) {
      texts.set(peer, data.strings);
    }
    if (data.type === "SRV" && (addrs.has(peer) || addrs.size < maxPeers)) {
      const known = addrs.get(peer) ?? [];
      addrs.set(peer, known);
      for (const host of hosts.get(data.target.toLowerCase()) ?? []) {
        if (known.length < maxAddrs) {
          known.push({ type: "ip", address: socketAddress(host, data.port) });
        }
      }
    }
  }
  for (const [peer, known] of addrs) {
    if (known.length > 0) {
      const { relay, userData } = attributes(texts.get(peer) ?? []);
      peers.set(peer, {
        addrs: [...relay, ...known],
        ...(userData === undefined ? {} : { userData }),
      });
    }
  }
  return peers;
}

function toMessage(
  name: string,
  addresses: readonly SocketAddress[],
  { addrs, userData }: EndpointInfo,
): DnsMessage {
  const instance = `${name}.${service}`;
  const record = (of: string, data: DnsData): DnsRecord => ({
    name: of,
    class: dnsClassIn,
    ttl,
    data,
  });
  const ports = [...new Set(addresses.map(({ port }) => port))].sort((a, b) => a - b);
  const target = (port: number): string => `${name}-${port}.local`;
  const relay = addrs.find(({ type }) => type === "relay");
  const strings = [
    ...(relay?.type === "relay" ? [`relay=${relay.url}`] : []),
    ...(userData === undefined ? [] : [`user-data=${userData}`]),
  ]
    .map((text) => new TextEncoder().encode(text))
    .filter(({ length }) => length <= maxAttributeBytes);
  return {
    flags: dnsAnswerFlags,
    questions: [],
    answers: [
      record(service, { type: "PTR", name: instance }),
      ...ports.map((port) => record(instance, { type: "SRV", port, target: target(port) })),
      // RFC 6763 §6.1: a TXT record is always there, and is never without a string.
      record(instance, {
        type: "TXT",
        strings: strings.length === 0 ? [new Uint8Array(0)] : strings,
      }),
    ],
    additionals: ports.flatMap((port) =>
      addresses
        .filter((address) => address.port === port)
        .map(({ family, host }) =>
          record(target(port), { type: family === 4 ? "A" : "AAAA", host }),
        ),
    ),
  };
}

function hostsByTarget(records: readonly DnsRecord[]): Map<string, string[]> {
  const hosts = new Map<string, string[]>();
  for (const { name, data } of records) {
    if (data.type === "A" || data.type === "AAAA") {
      const target = name.toLowerCase();
      const known = hosts.get(target) ?? [];
      hosts.set(target, known);
      if (known.length < maxAddrs) {
        known.push(data.host);
      }
    }
  }
  return hosts;
}

/** The peer's name, where the name is that of a peer's instance of the service. */
function peerOf(name: string): string | undefined {
  const lower = name.toLowerCase();
  const [, peer] = /^([a-z2-7]{52})\.(.*)$/.exec(lower) ?? [];
  return lower.slice(53) === service ? peer : undefined;
}

function attributes(strings: readonly Uint8Array[]): {
  relay: TransportAddr[];
  userData?: string;
} {
  const values = new Map<string, string>();
  for (const text of strings.flatMap((string) => txtText([string]))) {
    const at = text.indexOf("=");
    const key = text.slice(0, at);
    if (at > 0 && !values.has(key)) {
      values.set(key, text.slice(at + 1));
    }
  }
  const userData = values.get("user-data");
  const fits =
    userData !== undefined && new TextEncoder().encode(userData).length <= maxUserDataBytes;
  return { relay: relayOf(values.get("relay")), ...(fits ? { userData } : {}) };
}

function relayOf(url: string | undefined): TransportAddr[] {
  try {
    return url === undefined ? [] : [{ type: "relay", url: parseRelayUrl(url) }];
  } catch {
    return [];
  }
}
