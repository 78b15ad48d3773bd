import { isIPv4, isIPv6 } from "node:net";

/**
 * An IP address and a UDP or TCP port. Immutable; equal addresses print equal strings.
 */
export interface SocketAddress {
  readonly family: 4 | 6;
  /** The address in its canonical text form, without brackets or scope. */
  readonly host: string;
  /** 1..65535, or 0 where any port will do. */
  readonly port: number;
}

/** Makes a checked address out of its parts; IPv6 text is brought to canonical form. Throws TypeError or RangeError. */
export function socketAddress(host: string, port: number): SocketAddress {
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) {
    throw new RangeError(`invalid port: ${port} is not from 0 to 65535`);
  }
  if (isIPv4(host)) {
    return { family: 4, host, port };
  }
  if (isIPv6(host)) {
    return { family: 6, host: hostFromBytes(hostToBytes(host)), port };
  }
  throw new TypeError(`invalid IP address: ${JSON.stringify(host)}`);
}

/** Parses `1.2.3.4:80` or `[::1]:80`. Throws TypeError or RangeError saying what is wrong. */
export function parseSocketAddress(text: string): SocketAddress {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})$/.exec(text);
  if (match === null) {
    throw new TypeError(
      `invalid socket address ${JSON.stringify(text)}: expected ip:port or [ip6]:port`,
    );
  }
  const [, v6, v4, port] = match;
  if (v6 !== undefined && !isIPv6(v6)) {
    throw new TypeError(`invalid IPv6 address: ${JSON.stringify(v6)}`);
  }
  return socketAddress(v6 ?? v4 ?? "", Number(port));
}

/** `1.2.3.4:80` or `[::1]:80`. */
export function formatSocketAddress(address: SocketAddress): string {
  return address.family === 4
    ? `${address.host}:${address.port}`
    : `[${address.host}]:${address.port}`;
}

/** The 4 or 16 bytes of a textual IP address. Throws TypeError for anything else. */
export function hostToBytes(host: string): Uint8Array {
  if (isIPv4(host)) {
    return Uint8Array.from(host.split("."), Number);
  }
  if (!isIPv6(host)) {
    throw new TypeError(`invalid IP address: ${JSON.stringify(host)}`);
  }
  const plain = host.replace(/%.*$/, "");
  const dotted = /^(.*:)([0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)$/.exec(plain);
  let text = plain;
  if (dotted?.[1] !== undefined && dotted[2] !== undefined) {
    const [a = 0, b = 0, c = 0, d = 0] = hostToBytes(dotted[2]);
    text = `${dotted[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [head = "", tail] = text.split("::");
  const groups = (part: string): string[] => (part === "" ? [] : part.split(":"));
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const all = [...front, ...Array<string>(8 - front.length - back.length).fill("0"), ...back];
  const bytes = new Uint8Array(16);
  all.forEach((group, index) => {
    const value = Number.parseInt(group, 16);
    bytes[index * 2] = value >> 8;
    bytes[index * 2 + 1] = value & 0xff;
  });
  return bytes;
}

/** The text of a 4- or 16-byte address; IPv6 in the form of RFC 5952 (and `::ffff:1.2.3.4` for mapped IPv4). */
export function hostFromBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) {
    return bytes.join(".");
  }
  if (bytes.length !== 16) {
    throw new TypeError(`invalid IP address: ${bytes.length} bytes, expected 4 or 16`);
  }
  if (isMappedIpv4(bytes)) {
    return `::ffff:${bytes.subarray(12).join(".")}`;
  }
  const groups = Array.from(
    { length: 8 },
    (_, index) => ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0),
  );
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; ) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) {
      length += 1;
    }
    if (length > best.length) {
      best = { start, length };
    }
    start += length + 1;
  }
  const hex = groups.map((group) => group.toString(16));
  return best.start < 0
    ? hex.join(":")
    : `${hex.slice(0, best.start).join(":")}::${hex.slice(best.start + best.length).join(":")}`;
}

/** True for ::ffff:0:0/96, an IPv4 address in IPv6 clothes. */
export function isMappedIpv4(bytes: Uint8Array): boolean {
  return (
    bytes.length === 16 &&
    bytes.subarray(0, 10).every((byte) => byte === 0) &&
    bytes[10] === 0xff &&
    bytes[11] === 0xff
  );
}
