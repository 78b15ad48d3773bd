// Answers to packets of no connection. quiche would make a connection for a refusal, with a signature in it: a flood must
// not get that.

import { createCipheriv, createHmac } from "node:crypto";
import { concatBytes } from "../../base/bytes.ts";
import { type LongHeader, quicVersion1 } from "./packet-header.ts";

/** RFC 9001 §5.2. */
const initialSalt = Uint8Array.of(
  ...[0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17],
  ...[0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a],
);

/** A packet that lists version 1 alone (RFC 9000 §17.2.1). */
export function versionNegotiation(header: LongHeader, random: number): Uint8Array {
  const { destinationId, sourceId } = header;
  return concatBytes([
    Uint8Array.of(0x80 | random, 0, 0, 0, 0),
    Uint8Array.of(sourceId.length),
    sourceId,
    Uint8Array.of(destinationId.length),
    destinationId,
    Uint8Array.of(0, 0, 0, quicVersion1),
  ]);
}

/** An Initial packet that closes a connection which a client has begun, with a transport code below 64. */
export function initialClose(header: LongHeader, code: number): Uint8Array {
  const { destinationId, sourceId } = header;
  // CONNECTION_CLOSE (RFC 9000 §19.19): code, the type of the frame at fault, length of the reason.
  const frame = Uint8Array.of(0x1c, code, 0, 0);
  const packetNumber = Uint8Array.of(0, 0, 0, 0);
  const plainHeader = concatBytes([
    Uint8Array.of(0xc3, 0, 0, 0, quicVersion1),
    Uint8Array.of(sourceId.length),
    sourceId,
    Uint8Array.of(destinationId.length),
    destinationId,
    // No token, and the length of all that follows.
    Uint8Array.of(0, packetNumber.length + frame.length + tagLength),
    packetNumber,
  ]);
  const keys = serverInitialKeys(destinationId);
  // The nonce is the IV, because the packet number is 0.
  const cipher = createCipheriv("aes-128-gcm", keys.key, keys.iv).setAAD(plainHeader);
  const sealed = concatBytes([cipher.update(frame), cipher.final(), cipher.getAuthTag()]);
  const packet = concatBytes([plainHeader, sealed]);
  protectHeader(packet, plainHeader.length - packetNumber.length, keys.headerKey);
  return packet;
}

const tagLength = 16;

/** RFC 9001 §5.4, for a packet number of 4 bytes. */
function protectHeader(packet: Uint8Array, numberAt: number, key: Uint8Array): void {
  const sample = packet.subarray(numberAt + 4, numberAt + 20);
  const mask = createCipheriv("aes-128-ecb", key, null).update(sample);
  xor(packet, 0, (mask[0] ?? 0) & 0x0f);
  for (let index = 0; index < 4; index += 1) {
    xor(packet, numberAt + index, mask[1 + index] ?? 0);
  }
}

function xor(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = (bytes[at] ?? 0) ^ value;
}

interface PacketKeys {
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly headerKey: Uint8Array;
}

/** RFC 9001 §5.2. */
function serverInitialKeys(clientDestinationId: Uint8Array): PacketKeys {
  const initialSecret = hmac(initialSalt, clientDestinationId);
  const secret = expandLabel(initialSecret, "server in", 32);
  return {
    key: expandLabel(secret, "quic key", 16),
    iv: expandLabel(secret, "quic iv", 12),
    headerKey: expandLabel(secret, "quic hp", 16),
  };
}

/** HKDF-Expand-Label of TLS 1.3 (RFC 8446 §7.1) without context, up to 32 bytes. */
function expandLabel(secret: Uint8Array, label: string, length: number): Uint8Array {
  const text = new TextEncoder().encode(`tls13 ${label}`);
  const info = concatBytes([Uint8Array.of(0, length, text.length), text, Uint8Array.of(0, 1)]);
  return hmac(secret, info).subarray(0, length);
}

function hmac(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  return createHmac("sha256", key).update(bytes).digest();
}
