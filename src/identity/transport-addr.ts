import { encodeHex } from "../base/hex.ts";
import {
  formatSocketAddress,
  hostToBytes,
  parseSocketAddress,
  type SocketAddress,
  socketAddress,
} from "../base/socket-address.ts";
import { type CustomAddr, customAddr, formatCustomAddr, parseCustomAddr } from "./custom-addr.ts";
import { IdentityError } from "./identity-error.ts";
import { parseRelayUrl, type RelayUrl } from "./relay-url.ts";

/** The peer can be reached over this relay server. */
export interface RelayAddr {
  readonly type: "relay";
  readonly url: RelayUrl;
}

/** The peer listens there. */
export interface IpAddr {
  readonly type: "ip";
  readonly address: SocketAddress;
}

/** One way to reach a peer. */
export type TransportAddr = RelayAddr | IpAddr | CustomAddr;

/** `relay:<url>`, `ip:<ip:port>` or `custom:<id>_<data>`. */
export function formatTransportAddr(addr: TransportAddr): string {
  switch (addr.type) {
    case "relay":
      return `relay:${addr.url}`;
    case "ip":
      return `ip:${formatSocketAddress(addr.address)}`;
    case "custom":
      return `custom:${formatCustomAddr(addr)}`;
  }
}

/**
 * Parses what {@link formatTransportAddr} writes, and what people write: a bare `ip:port` and a URL with `://` in it.
 * Throws {@link IdentityError} `invalid-address`.
 */
export function parseTransportAddr(text: string): TransportAddr {
  const [, type, rest = ""] = /^(relay|ip|custom):(.*)$/s.exec(text) ?? [];
  switch (type) {
    case "relay":
      return { type, url: parseRelayUrl(rest) };
    case "ip":
      return parseIpAddr(rest);
    case "custom":
      return parseCustomAddr(rest);
    default:
      return text.includes("://") ? { type: "relay", url: parseRelayUrl(text) } : parseIpAddr(text);
  }
}

/** Parses `ip:port`. Throws {@link IdentityError} `invalid-address`. */
export function parseIpAddr(text: string): IpAddr {
  try {
    return { type: "ip", address: parseSocketAddress(text) };
  } catch (error) {
    throw invalidAddress(error);
  }
}

/** A copy in normal form. Throws {@link IdentityError} `invalid-address` for values that are out of range. */
export function normalTransportAddr(addr: TransportAddr): TransportAddr {
  try {
    switch (addr.type) {
      case "relay":
        return { type: "relay", url: parseRelayUrl(addr.url) };
      case "ip":
        return { type: "ip", address: socketAddress(addr.address.host, addr.address.port) };
      case "custom":
        return customAddr(addr.id, addr.data);
    }
  } catch (error) {
    throw invalidAddress(error);
  }
}

/**
 * Equal for equal addresses; and sorting these strings gives iroh's order: relays by URL, IPv4 before IPv6, by address,
 * then port, custom addresses by id, then data of up to 30 bytes by length before content, longer data by content.
 */
export function transportAddrKey(addr: TransportAddr): string {
  switch (addr.type) {
    case "relay":
      return `0 ${addr.url}`;
    case "ip": {
      const { family, host, port } = addr.address;
      return `1 ${family} ${encodeHex(hostToBytes(host))} ${hexDigits(port, 4)}`;
    }
    case "custom": {
      const { id, data } = addr;
      return `2 ${hexDigits(id, 16)} ${hexDigits(Math.min(data.length, 31), 2)} ${encodeHex(data)}`;
    }
  }
}

/** In the order in which the wire numbers them. */
export const transportAddrKinds: readonly TransportAddr["type"][] = ["relay", "ip", "custom"];

function hexDigits(value: number | bigint, count: number): string {
  return value.toString(16).padStart(count, "0");
}

/** TypeError and RangeError of the parts, as this folder's error. */
function invalidAddress(error: unknown): IdentityError {
  if (error instanceof IdentityError) {
    return error;
  }
  const problem = error instanceof Error ? error.message : String(error);
  return new IdentityError("invalid-address", problem, { cause: error });
}
