import { EncodingError } from "../base/encoding-error.ts";
import { decodeHex, encodeHex } from "../base/hex.ts";
import { IdentityError, quote } from "./identity-error.ts";

/** An address of a transport that is neither IP nor a relay; who knows the transport knows what the bytes mean. */
export interface CustomAddr {
  readonly type: "custom";
  /** Number of the transport, from 0 to 2^64-1: 0x20 test, 0x544f52 Tor, 0x424c45 Bluetooth; below 0x20 reserved. */
  readonly id: bigint;
  /** Not to be written to. */
  readonly data: Uint8Array;
}

const maxId = (1n << 64n) - 1n;

/** Makes an address; `data` is copied. Throws RangeError when the id does not fit 64 bits. */
export function customAddr(id: bigint, data: Uint8Array): CustomAddr {
  if (id < 0n || id > maxId) {
    throw new RangeError(`invalid custom transport id: ${id} is not from 0 to 2^64-1`);
  }
  return { type: "custom", id, data: new Uint8Array(data) };
}

/** `<id>_<data>`, both in lower-case hex. */
export function formatCustomAddr({ id, data }: CustomAddr): string {
  return `${id.toString(16)}_${encodeHex(data)}`;
}

/**
 * Parses `<id>_<data>`. As iroh, takes the id also in upper case, with leading zeros and with a plus sign before it.
 * Throws {@link IdentityError} `invalid-address`.
 */
export function parseCustomAddr(text: string): CustomAddr {
  const invalid = (problem: string, cause?: unknown): IdentityError =>
    new IdentityError("invalid-address", `invalid custom address ${quote(text)}: ${problem}`, {
      cause,
    });
  const separator = text.indexOf("_");
  if (separator < 0) {
    throw invalid("expected <id>_<data>");
  }
  const [, digits] = /^\+?0*([0-9a-f]{1,16})$/i.exec(text.slice(0, separator)) ?? [];
  if (digits === undefined) {
    throw invalid("the id before the _ is not a hexadecimal number of at most 64 bits");
  }
  try {
    return customAddr(BigInt(`0x${digits}`), decodeHex(text.slice(separator + 1)));
  } catch (error) {
    throw error instanceof EncodingError ? invalid(`data: ${error.message}`, error) : error;
  }
}

/** The binary form: the id as 8 bytes, little-endian, then the data. */
export function customAddrToBytes({ id, data }: CustomAddr): Uint8Array {
  const bytes = new Uint8Array(8 + data.length);
  new DataView(bytes.buffer).setBigUint64(0, id, true);
  bytes.set(data, 8);
  return bytes;
}

/** Reads what {@link customAddrToBytes} writes. Throws {@link IdentityError} `invalid-address`. */
export function customAddrFromBytes(bytes: Uint8Array): CustomAddr {
  if (bytes.length < 8) {
    throw new IdentityError(
      "invalid-address",
      `invalid custom address: ${bytes.length} bytes, expected at least 8`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return customAddr(view.getBigUint64(0, true), bytes.subarray(8));
}
