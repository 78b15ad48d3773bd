/**
 * An IP address and a UDP or TCP port. Immutable; equal addresses print equal strings.
 */
export interface SocketAddress {
  readonly family: 4 | 6;
  /** The address in its canonical text form (RFC 5952 for IPv6), without brackets or scope. */
  readonly host: string;
  /** 1..65535, or 0 where any port will do. */
  readonly port: number;
}

/**
 * Makes a checked address out of its parts; IPv6 text is brought to canonical form, and loses a scope such as `%eth0`,
 * which means something on one machine alone. Throws TypeError for the host and RangeError for the port.
 */
export function socketAddress(host: string, port: number): SocketAddress {
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) {
    throw new RangeError(`invalid port: ${port} is not from 0 to 65535`);
  }
  const bytes = hostToBytes(host);
  return { family: bytes.length === 4 ? 4 : 6, host: hostFromBytes(bytes), port };
}

/** Parses `1.2.3.4:80` or `[::1]:80`. Throws TypeError or RangeError saying what is wrong. */
export function parseSocketAddress(text: string): SocketAddress {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):([0-9]{1,5})$/.exec(text);
  if (match === null) {
    throw new TypeError(`invalid socket address ${quote(text)}: expected ip:port or [ip6]:port`);
  }
  const [, bracketed, plain = "", port] = match;
  const address = socketAddress(bracketed ?? plain, Number(port));
  if ((address.family === 6) !== (bracketed !== undefined)) {
    throw new TypeError(`invalid socket address ${quote(text)}: only IPv6 stands in brackets`);
  }
  return address;
}

/** `1.2.3.4:80` or `[::1]:80`. */
export function formatSocketAddress(address: SocketAddress): string {
  return address.family === 4
    ? `${address.host}:${address.port}`
    : `[${address.host}]:${address.port}`;
}

/** Whether both name the same socket. */
export function isSameSocketAddress(one: SocketAddress, other: SocketAddress): boolean {
  return one.port === other.port && one.host === other.host;
}

/** The 4 or 16 bytes of a textual IP address. Throws TypeError for anything else. */
export function hostToBytes(host: string): Uint8Array {
  const bytes = host.includes(":") ? parseIpv6(host) : parseIpv4(host);
  if (bytes === undefined) {
    throw new TypeError(`invalid IP address: ${quote(host)}`);
  }
  return Uint8Array.from(bytes);
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
  const zeros = longestZeros(groups);
  const hex = groups.map((group) => group.toString(16));
  return zeros === undefined
    ? hex.join(":")
    : `${hex.slice(0, zeros.start).join(":")}::${hex.slice(zeros.start + zeros.length).join(":")}`;
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

/** Four decimal numbers without leading zeros, which some programs would read as octal. */
function parseIpv4(text: string): number[] | undefined {
  const parts = text.split(".", 5);
  return parts.length === 4 && parts.every((part) => /^(?:0|[1-9][0-9]{0,2})$/.test(part))
    ? checkOctets(parts.map(Number))
    : undefined;
}

function checkOctets(octets: number[]): number[] | undefined {
  return octets.every((octet) => octet <= 0xff) ? octets : undefined;
}

/** RFC 4291 §2.2, and a scope (RFC 4007 §11) that is dropped. */
function parseIpv6(text: string): number[] | undefined {
  const [, plain] = /^([^%]*)(?:%[0-9a-zA-Z.:_-]+)?$/.exec(text) ?? [];
  const [head = "", tail, ...more] = plain?.split("::", 3) ?? [];
  if (plain === undefined || more.length > 0) {
    return undefined;
  }
  const front = parseGroups(head, tail === undefined);
  const back = parseGroups(tail ?? "", true);
  if (front === undefined || back === undefined) {
    return undefined;
  }
  const missing = 16 - front.length - back.length;
  // "::" stands for at least one group of zeros.
  if (tail === undefined ? missing !== 0 : missing < 2) {
    return undefined;
  }
  return [...front, ...Array<number>(missing).fill(0), ...back];
}

/** The bytes of groups that colons divide; where `last`, the last one may be a dotted IPv4 address. */
function parseGroups(text: string, last: boolean): number[] | undefined {
  const bytes: number[] = [];
  const groups = text === "" ? [] : text.split(":", 9);
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
      continue;
    }
    const dotted = last && index === groups.length - 1 ? parseIpv4(group) : undefined;
    if (dotted === undefined) {
      return undefined;
    }
    bytes.push(...dotted);
  }
  return bytes.length <= 16 ? bytes : undefined;
}

/** The first of the longest runs of at least two zero groups (RFC 5952 §4.2). */
function longestZeros(groups: readonly number[]): { start: number; length: number } | undefined {
  let best = { start: 0, length: 1 };
  for (let start = 0; start < groups.length; ) {
    let length = 0;
    while (groups[start + length] === 0) {
      length += 1;
    }
    if (length > best.length) {
      best = { start, length };
    }
    start += length + 1;
  }
  return best.length > 1 ? best : undefined;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 59)}…` : text);
}
