import { formatSocketAddress } from "../base/socket-address.ts";
import { formatCustomAddr, parseCustomAddr } from "../identity/custom-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import { parseRelayUrl } from "../identity/relay-url.ts";
import { parseIpAddr, type TransportAddr } from "../identity/transport-addr.ts";
import { DiscoveryError } from "./discovery-error.ts";

/** UTF-8 bytes of user data: with the key before it, it fills a character string of DNS. */
export const maxUserDataBytes = 245;
/** UTF-8 bytes of a character string of DNS (RFC 1035 §3.3). */
const maxStringBytes = 255;

/** What the TXT records of an endpoint say. */
export interface EndpointInfo {
  readonly addrs: readonly TransportAddr[];
  readonly userData?: string;
}

/** Where the TXT records of an endpoint stand: below a zone, or with an empty `origin` in a signed packet. */
export function endpointRecordName(id: EndpointId, origin = ""): string {
  const zone = origin.replace(/\.$/, "");
  return `_iroh.${id.toZ32()}${zone === "" ? "" : `.${zone}`}`;
}

/**
 * One string for each attribute, as iroh writes them: relays, then other addresses, then user data. Throws DiscoveryError
 * `too-large` for one that does not fit its record.
 */
export function formatEndpointInfo({ addrs, userData }: EndpointInfo): string[] {
  const relays = addrs.flatMap((addr) => (addr.type === "relay" ? [`relay=${addr.url}`] : []));
  const others = addrs.flatMap((addr) => (addr.type === "relay" ? [] : [`addr=${text(addr)}`]));
  const strings = [
    ...relays,
    ...others,
    ...(userData === undefined ? [] : [`user-data=${userData}`]),
  ];
  for (const string of strings) {
    const { length } = utf8.encode(string);
    if (length > maxStringBytes) {
      throw new DiscoveryError(
        "too-large",
        `cannot publish ${JSON.stringify(`${string.slice(0, 40)}…`)}: ${length} bytes, at most ${maxStringBytes} fit`,
      );
    }
  }
  return strings;
}

/**
 * Reads what {@link formatEndpointInfo} and iroh write, as iroh does: values end at a second `=`, addresses that cannot be
 * read and user data that is too long are passed over, the first user data counts. One string that is not of this kind
 * makes the whole set invalid: DiscoveryError `invalid-record`.
 */
export function parseEndpointInfo(strings: readonly string[]): EndpointInfo {
  const relays: TransportAddr[] = [];
  const others: TransportAddr[] = [];
  let userData: string | undefined;
  for (const string of strings) {
    const [key, value] = string.split("=", 2);
    if (value === undefined) {
      throw invalid(`${quote(string)} has no =`);
    }
    switch (key) {
      case "relay":
        relays.push(...attempt(() => ({ type: "relay", url: parseRelayUrl(value) })));
        break;
      case "addr":
        others.push(
          ...(/^[^:]*_/.test(value)
            ? attempt(() => parseCustomAddr(value))
            : attempt(() => parseIpAddr(value))),
        );
        break;
      case "user-data":
        if (utf8.encode(value).length <= maxUserDataBytes) {
          userData ??= value;
        }
        break;
      default:
        throw invalid(`${quote(string)} is no attribute of an endpoint`);
    }
  }
  return { addrs: [...relays, ...others], ...(userData === undefined ? {} : { userData }) };
}

function text(addr: Exclude<TransportAddr, { readonly type: "relay" }>): string {
  return addr.type === "ip" ? formatSocketAddress(addr.address) : formatCustomAddr(addr);
}

/** What `parse` gives, if anything. */
function attempt(parse: () => TransportAddr): TransportAddr[] {
  try {
    return [parse()];
  } catch {
    return [];
  }
}

const utf8 = new TextEncoder();

function quote(string: string): string {
  return JSON.stringify(string.length > 40 ? `${string.slice(0, 39)}…` : string);
}

function invalid(problem: string): DiscoveryError {
  return new DiscoveryError("invalid-record", `invalid endpoint record: ${problem}`);
}
