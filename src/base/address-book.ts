import { hostFromBytes, hostToBytes, isMappedIpv4, type SocketAddress } from "./socket-address.ts";

/**
 * 16 bytes of IPv6 address (IPv4 as ::ffff:a.b.c.d, which is how iroh hands it to QUIC), then the port: as the QUIC core
 * reads it.
 */
export const addressLength = 18;
/** Addresses remembered in each direction. Above it everything is forgotten and learned again. */
const maxRemembered = 4_096;

/**
 * Socket addresses to and from their form of 18 bytes. Remembers them, so that a packet costs no text, and the same peer is
 * always the same object.
 */
export class AddressBook {
  #encoded = new WeakMap<SocketAddress, Uint8Array>();
  /** By a hash of the encoded form; two that collide take turns. */
  readonly #decoded = new Map<number, Entry>();
  #last: Entry | undefined;

  encode(address: SocketAddress): Uint8Array {
    let bytes = this.#encoded.get(address);
    if (bytes === undefined) {
      bytes = encodeAddress(address);
      this.#encoded.set(address, bytes);
    }
    return bytes;
  }

  /** The address that stands at `offset`. */
  decode(source: Uint8Array, offset: number): SocketAddress {
    if (this.#last !== undefined && isAt(this.#last.bytes, source, offset)) {
      return this.#last.address;
    }
    const key = hash(source, offset);
    let entry = this.#decoded.get(key);
    if (entry === undefined || !isAt(entry.bytes, source, offset)) {
      const bytes = source.slice(offset, offset + addressLength);
      entry = { bytes, address: decodeAddress(bytes) };
      if (this.#decoded.size >= maxRemembered) {
        this.#decoded.clear();
      }
      this.#decoded.set(key, entry);
    }
    this.#last = entry;
    return entry.address;
  }
}

interface Entry {
  readonly bytes: Uint8Array;
  readonly address: SocketAddress;
}

function encodeAddress(address: SocketAddress): Uint8Array {
  const bytes = new Uint8Array(addressLength);
  const host = hostToBytes(address.host);
  if (host.length === 4) {
    bytes.fill(0xff, 10, 12);
  }
  bytes.set(host, 16 - host.length);
  bytes[16] = address.port & 0xff;
  bytes[17] = address.port >> 8;
  return bytes;
}

function decodeAddress(bytes: Uint8Array): SocketAddress {
  const port = (bytes[16] ?? 0) | ((bytes[17] ?? 0) << 8);
  const ip = bytes.subarray(0, 16);
  return isMappedIpv4(ip)
    ? { family: 4, host: hostFromBytes(ip.subarray(12)), port }
    : { family: 6, host: hostFromBytes(ip), port };
}

function isAt(bytes: Uint8Array, source: Uint8Array, offset: number): boolean {
  for (let index = 0; index < addressLength; index += 1) {
    if (bytes[index] !== source[offset + index]) {
      return false;
    }
  }
  return true;
}

/** FNV-1a. */
function hash(source: Uint8Array, offset: number): number {
  let value = 0x811c9dc5;
  for (let index = 0; index < addressLength; index += 1) {
    value = Math.imul(value ^ (source[offset + index] ?? 0), 0x01000193);
  }
  return value;
}
