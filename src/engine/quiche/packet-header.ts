// What every QUIC packet shows of itself (RFC 8999), and the token of an Initial packet (RFC 9000 §17.2.2).
// quiche has a parser as well, but a call into it costs more than this.

import { ByteReader } from "../../base/byte-reader.ts";

/** All ids that we choose are this long, so that packets with short headers can be told apart. */
export const connectionIdLength = 8;
/** RFC 9000 §17.2. */
const maxConnectionIdLength = 20;
export const quicVersion1 = 1;
/** RFC 9000 §17.2. */
const initialType = 0;
const retryType = 3;

export interface ShortHeader {
  readonly form: "short";
  readonly destinationId: Uint8Array;
}

export interface LongHeader {
  readonly form: "long";
  readonly version: number;
  readonly destinationId: Uint8Array;
  readonly sourceId: Uint8Array;
  /** Of an Initial packet of version 1 alone. */
  readonly initialToken: Uint8Array | undefined;
}

/** Undefined for what cannot be QUIC. The ids are views of `bytes`. */
export function parsePacketHeader(bytes: Uint8Array): ShortHeader | LongHeader | undefined {
  const first = bytes[0] ?? 0;
  if ((first & 0x80) === 0) {
    return bytes.length > connectionIdLength
      ? { form: "short", destinationId: bytes.subarray(1, 1 + connectionIdLength) }
      : undefined;
  }
  try {
    const reader = new ByteReader(bytes, 1);
    const version = reader.u32();
    const destinationId = reader.bytes(reader.u8());
    const sourceId = reader.bytes(reader.u8());
    if (version !== quicVersion1) {
      return { form: "long", version, destinationId, sourceId, initialToken: undefined };
    }
    if (
      destinationId.length > maxConnectionIdLength ||
      sourceId.length > maxConnectionIdLength ||
      (first & 0x40) === 0
    ) {
      return undefined;
    }
    const type = (first >> 4) & 0x3;
    const initialToken = type === initialType ? reader.bytes(reader.varintNumber()) : undefined;
    return { form: "long", version, destinationId, sourceId, initialToken };
  } catch {
    // It ends too early.
    return undefined;
  }
}

/**
 * The packets of a datagram, as views (RFC 9000 §12.2). quiche drops all that stands behind a packet which it cannot
 * read, although that happens to every client which closes before it knows that the handshake is confirmed.
 */
export function splitCoalesced(datagram: Uint8Array): Uint8Array[] {
  const packets: Uint8Array[] = [];
  let rest = datagram;
  while (rest.length > 0) {
    const length = longPacketLength(rest) ?? rest.length;
    packets.push(rest.subarray(0, length));
    rest = rest.subarray(length);
  }
  return packets;
}

/** Undefined for packets that go on to the end of the datagram. */
function longPacketLength(bytes: Uint8Array): number | undefined {
  const type = ((bytes[0] ?? 0) >> 4) & 0x3;
  if (parsePacketHeader(bytes)?.form !== "long" || type === retryType) {
    return undefined;
  }
  try {
    const reader = new ByteReader(bytes, 1);
    if (reader.u32() !== quicVersion1) {
      return undefined;
    }
    reader.bytes(reader.u8());
    reader.bytes(reader.u8());
    if (type === initialType) {
      reader.bytes(reader.varintNumber());
    }
    reader.bytes(reader.varintNumber());
    return reader.offset;
  } catch {
    return undefined;
  }
}

/** A connection id as a key of maps. */
export function idKey(id: Uint8Array): string {
  let key = "";
  for (const byte of id) {
    key += String.fromCharCode(byte);
  }
  return key;
}
