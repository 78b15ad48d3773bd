import { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import type { DiscoveredAddr } from "./discovery.ts";
import {
  type DnsMessage,
  decodeDnsMessage,
  dnsClassIn,
  encodeDnsMessage,
  txtText,
} from "./dns-message.ts";
import {
  type EndpointInfo,
  endpointRecordName,
  formatEndpointInfo,
  parseEndpointInfo,
} from "./endpoint-info.ts";
import {
  checkPkarrDate,
  maxPkarrMessageBytes,
  type PkarrPacket,
  signPkarrPacket,
} from "./pkarr-packet.ts";

export interface EndpointRecordOptions {
  readonly timestampUs: bigint;
  /** Of the records, seconds. */
  readonly ttl: number;
  /** Of the DNS message. Default and at most 1000. */
  readonly maxMessageBytes?: number;
}

/**
 * A pkarr packet with what an endpoint says of itself, as iroh writes it. Addresses from the end that do not fit are left
 * out: some twenty-five do. Throws DiscoveryError `too-large` for a single value that does not.
 */
export function signEndpointRecord(
  secretKey: SecretKey,
  info: EndpointInfo,
  { timestampUs, ttl, maxMessageBytes = maxPkarrMessageBytes }: EndpointRecordOptions,
): PkarrPacket {
  const name = endpointRecordName(secretKey.publicKey);
  const encode = (count: number): Uint8Array =>
    encodeDnsMessage(
      toMessage(name, ttl, formatEndpointInfo({ ...info, addrs: info.addrs.slice(0, count) })),
    );
  let count = info.addrs.length;
  let message = encode(count);
  while (message.length > maxMessageBytes && count > 0) {
    count -= 1;
    message = encode(count);
  }
  return signPkarrPacket(secretKey, { timestampUs, message });
}

/** What a packet says of its endpoint. Throws DiscoveryError `invalid-record`. */
export function readEndpointRecord({ id, message }: PkarrPacket): EndpointInfo & {
  /** The least of the records, seconds. */
  readonly ttl: number;
} {
  const name = endpointRecordName(id);
  const records = decodeDnsMessage(message).answers.filter(
    (record) => record.name === name && record.class === dnsClassIn && record.data.type === "TXT",
  );
  const strings = records.flatMap(({ data }) => (data.type === "TXT" ? txtText(data.strings) : []));
  const ttl = Math.min(...records.map((record) => record.ttl), maxTtl);
  return { ...parseEndpointInfo(strings), ttl };
}

/**
 * What a packet tells whoever looks for its endpoint. Throws DiscoveryError `invalid-record`, and `future-record` for one
 * whose date cannot be meant.
 */
export function discoveredAddrOf(
  packet: PkarrPacket,
  source: string,
  unixMs: number,
): DiscoveredAddr {
  checkPkarrDate(packet, unixMs);
  const { addrs, userData, ttl } = readEndpointRecord(packet);
  return {
    addr: new EndpointAddr(packet.id, addrs),
    ...(userData === undefined ? {} : { userData }),
    ttlMs: ttl * 1_000,
    source,
    signedUs: packet.timestampUs,
  };
}

/** One day. */
const maxTtl = 86_400;

function toMessage(name: string, ttl: number, strings: readonly string[]): DnsMessage {
  return {
    flags: 0x8000,
    questions: [],
    answers: strings.map((string) => ({
      name,
      class: dnsClassIn,
      ttl,
      data: { type: "TXT", strings: [new TextEncoder().encode(string)] },
    })),
    additionals: [],
  };
}
