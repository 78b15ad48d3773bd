// STUN (RFC 8489), as far as finding out one's own address goes: Binding requests and their responses.
//
//   type 2 | length 2 | magic cookie 4 | transaction id 12 | attributes
//   attribute: type 2 | length 2 | value | padding to a multiple of 4

import { ByteReader } from "../base/byte-reader.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { crc32 } from "../base/crc32.ts";
import {
  hostFromBytes,
  hostToBytes,
  type SocketAddress,
  socketAddress,
} from "../base/socket-address.ts";
import { unmapped } from "./dialable-addresses.ts";

export type StunErrorCode =
  /** Not a STUN message, or a broken one: to be ignored. */
  | "malformed"
  /** A message of another method or class than those of {@link StunMessage}: to be ignored. */
  | "unsupported"
  /** A response that cannot be understood without attributes that we do not know (RFC 8489 §6.3.3): there is no address. */
  | "unknown-attribute";

/** Thrown by {@link decodeStun}. */
export class StunError extends Error {
  override readonly name = "StunError";
  readonly code: StunErrorCode;

  constructor(code: StunErrorCode, problem: string) {
    super(`invalid STUN message: ${problem}`);
    this.code = code;
  }
}

/** `id` is the transaction id, 12 bytes. */
export type StunMessage =
  | { readonly type: "request"; readonly id: Uint8Array }
  /** `address` is where the request came from; undefined when the server does not say. */
  | {
      readonly type: "success";
      readonly id: Uint8Array;
      readonly address: SocketAddress | undefined;
    }
  /** `status` is 300 to 699, `reason` a text of the server's. */
  | {
      readonly type: "error";
      readonly id: Uint8Array;
      readonly status: number;
      readonly reason: string;
    };

/** Bytes of a transaction id. */
export const transactionIdLength = 12;

const headerLength = 20;
const magicCookie = 0x2112_a442;
/** What the CRC-32 is combined with, so that it is no other protocol's (RFC 8489 §14.7). */
const fingerprintMask = 0x5354_554e;
/** Our messages fit any path (RFC 8489 §6.1), and no honest answer is longer. */
const maxLength = 1_280;

/** Method Binding (0x001) in the classes of RFC 8489 §5. */
const messageTypes = { request: 0x0001, success: 0x0101, error: 0x0111 } as const;

/** RFC 8489 §18.3. Those below 0x8000 have to be understood. */
const attributes = {
  MAPPED_ADDRESS: 0x0001,
  USERNAME: 0x0006,
  MESSAGE_INTEGRITY: 0x0008,
  ERROR_CODE: 0x0009,
  UNKNOWN_ATTRIBUTES: 0x000a,
  REALM: 0x0014,
  NONCE: 0x0015,
  MESSAGE_INTEGRITY_SHA256: 0x001c,
  PASSWORD_ALGORITHM: 0x001d,
  USERHASH: 0x001e,
  XOR_MAPPED_ADDRESS: 0x0020,
  FINGERPRINT: 0x8028,
} as const;

const knownAttributes: ReadonlySet<number> = new Set(Object.values(attributes));

/**
 * Tells STUN from QUIC on one socket: by the first byte (RFC 9443 §3), which QUIC has above 63 unless it greases, and by
 * the magic cookie.
 */
export function isStun(bytes: Uint8Array): boolean {
  return (
    bytes.length >= headerLength &&
    (bytes[0] ?? 0xff) <= 3 &&
    new ByteReader(bytes, 4).u32() === magicCookie
  );
}

/** A Binding request, with a FINGERPRINT, by which servers that speak other protocols as well know it. */
export function encodeStunRequest(id: Uint8Array): Uint8Array {
  return encode(messageTypes.request, id, new Uint8Array(0));
}

/** The answer of a server that has seen a request come from `address`. */
export function encodeStunSuccess(id: Uint8Array, address: SocketAddress): Uint8Array {
  const value = new ByteWriter()
    .u8(0)
    .u8(address.family === 4 ? 1 : 2)
    .u16(address.port ^ (magicCookie >>> 16))
    .bytes(xorHost(hostToBytes(address.host), id));
  return encode(messageTypes.success, id, attribute(attributes.XOR_MAPPED_ADDRESS, value.finish()));
}

/** The answer of a server that refuses. `status` is from 300 to 699. */
export function encodeStunError(id: Uint8Array, status: number, reason = ""): Uint8Array {
  const value = new ByteWriter()
    .u16(0)
    .u8(Math.floor(status / 100))
    .u8(status % 100)
    .bytes(new TextEncoder().encode(reason));
  return encode(messageTypes.error, id, attribute(attributes.ERROR_CODE, value.finish()));
}

/**
 * Reads a message, which has to fill `bytes`. Attributes that need not be understood are skipped, and so is proof of who
 * sent it, because nobody has agreed on a password. `id` is a view of `bytes`. Throws {@link StunError}.
 */
export function decodeStun(bytes: Uint8Array): StunMessage {
  if (!isStun(bytes) || bytes.length > maxLength) {
    throw new StunError(
      "malformed",
      `${bytes.length} bytes, expected a header with the magic cookie`,
    );
  }
  const reader = new ByteReader(bytes);
  const messageType = reader.u16();
  const length = reader.u16();
  if (length !== bytes.length - headerLength || length % 4 !== 0) {
    throw new StunError("malformed", `length ${length} with ${bytes.length - headerLength} bytes`);
  }
  reader.u32();
  const id = reader.bytes(transactionIdLength);
  const found = readAttributes(reader, bytes);
  switch (messageType) {
    case messageTypes.request:
      return { type: "request", id };
    case messageTypes.success: {
      requireKnown(found);
      const xored = found.get(attributes.XOR_MAPPED_ADDRESS);
      const plain = found.get(attributes.MAPPED_ADDRESS);
      const address = xored ? readAddress(xored, id) : plain && readAddress(plain, undefined);
      return { type: "success", id, address };
    }
    case messageTypes.error:
      requireKnown(found);
      return { type: "error", id, ...readErrorCode(found.get(attributes.ERROR_CODE)) };
    default:
      throw new StunError("unsupported", `type 0x${messageType.toString(16)}`);
  }
}

function encode(messageType: number, id: Uint8Array, content: Uint8Array): Uint8Array {
  if (id.length !== transactionIdLength) {
    throw new RangeError(`invalid transaction id: ${id.length} bytes, expected 12`);
  }
  const writer = new ByteWriter()
    .u16(messageType)
    .u16(content.length + 8)
    .u32(magicCookie)
    .bytes(id)
    .bytes(content);
  const fingerprint = (crc32(writer.finish()) ^ fingerprintMask) >>> 0;
  return writer.u16(attributes.FINGERPRINT).u16(4).u32(fingerprint).finish();
}

function attribute(type: number, value: Uint8Array): Uint8Array {
  return new ByteWriter()
    .u16(type)
    .u16(value.length)
    .bytes(value)
    .bytes(new Uint8Array(paddingOf(value.length)))
    .finish();
}

/** By type; of several with one type the first counts (RFC 8489 §14). */
function readAttributes(reader: ByteReader, message: Uint8Array): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  let isSigned = false;
  while (reader.remaining > 0) {
    const start = reader.offset;
    const type = reader.u16();
    const length = reader.u16();
    if (length + paddingOf(length) > reader.remaining) {
      throw new StunError(
        "malformed",
        `attribute of ${length} bytes with ${reader.remaining} left`,
      );
    }
    const value = reader.bytes(length);
    reader.bytes(paddingOf(length));
    if (type === attributes.FINGERPRINT) {
      checkFingerprint(message.subarray(0, start), value, reader.remaining);
    } else if (!isSigned && !found.has(type)) {
      // What follows a signature is not covered by it, and to be ignored (RFC 8489 §14.5).
      found.set(type, value);
    }
    isSigned ||=
      type === attributes.MESSAGE_INTEGRITY || type === attributes.MESSAGE_INTEGRITY_SHA256;
  }
  return found;
}

function checkFingerprint(before: Uint8Array, value: Uint8Array, left: number): void {
  if (value.length !== 4 || left !== 0) {
    throw new StunError("malformed", "FINGERPRINT is not the last 4 bytes");
  }
  if (new ByteReader(value).u32() !== (crc32(before) ^ fingerprintMask) >>> 0) {
    throw new StunError("malformed", "FINGERPRINT does not fit");
  }
}

function requireKnown(found: ReadonlyMap<number, Uint8Array>): void {
  for (const type of found.keys()) {
    if (type < 0x8000 && !knownAttributes.has(type)) {
      throw new StunError("unknown-attribute", `attribute 0x${type.toString(16)} is not known`);
    }
  }
}

/** MAPPED-ADDRESS, or with an id XOR-MAPPED-ADDRESS (RFC 8489 §14.1, §14.2). */
function readAddress(value: Uint8Array, id: Uint8Array | undefined): SocketAddress {
  const reader = new ByteReader(value);
  if (value.length < 4) {
    throw new StunError("malformed", `address of ${value.length} bytes`);
  }
  reader.u8();
  const family = reader.u8();
  const port = reader.u16();
  const host = reader.rest();
  if (!(family === 1 && host.length === 4) && !(family === 2 && host.length === 16)) {
    throw new StunError("malformed", `address of family ${family} with ${host.length} bytes`);
  }
  return unmapped(
    id === undefined
      ? socketAddress(hostFromBytes(host), port)
      : socketAddress(hostFromBytes(xorHost(host, id)), port ^ (magicCookie >>> 16)),
  );
}

/** The host with magic cookie and transaction id, as NATs that look for addresses in datagrams do not know it. */
function xorHost(host: Uint8Array, id: Uint8Array): Uint8Array {
  const mask = new ByteWriter().u32(magicCookie).bytes(id).finish();
  return host.map((byte, index) => byte ^ (mask[index] as number));
}

/** RFC 8489 §14.8. */
function readErrorCode(value: Uint8Array | undefined): { status: number; reason: string } {
  if (value === undefined || value.length < 4) {
    throw new StunError("malformed", "error response without ERROR-CODE");
  }
  const reader = new ByteReader(value);
  reader.u16();
  const hundreds = reader.u8() & 0x07;
  const rest = reader.u8();
  if (hundreds < 3 || hundreds > 6 || rest > 99) {
    throw new StunError("malformed", `error code ${hundreds}:${rest}`);
  }
  return { status: hundreds * 100 + rest, reason: new TextDecoder().decode(reader.rest()) };
}

/** Bytes up to the next multiple of 4. */
function paddingOf(length: number): number {
  return -length & 3;
}
