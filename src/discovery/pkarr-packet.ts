// Signed packets of pkarr: key 32 | signature 64 | timestamp 8 | DNS message of at most 1000 bytes. Relays take and give
// them without the key, the mainline DHT as a mutable item (BEP 44) whose sequence number is the timestamp.

import { ByteReader } from "../base/byte-reader.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { concatBytes } from "../base/bytes.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import { verify } from "../identity/verify.ts";
import { DiscoveryError } from "./discovery-error.ts";

export const signatureLength = 64;
/** Signature and timestamp. */
const headerLength = signatureLength + 8;
/** Of the DNS message: what BEP 44 allows a value. Bytes. */
export const maxPkarrMessageBytes = 1_000;
/** Of a packet without its key. Bytes. */
export const maxPkarrPayloadBytes: number = headerLength + maxPkarrMessageBytes;
/**
 * By how much a packet may be ahead of our clock. Clocks of both sides may be off by a time zone; what is beyond that would
 * hide everything that the peer publishes later. Microseconds.
 */
const maxAheadUs = 86_400_000_000n;

/** A packet whose signature has been checked, or made. */
export interface PkarrPacket {
  readonly id: EndpointId;
  readonly signature: Uint8Array;
  /** Microseconds since 1970, by the clock of who signed. */
  readonly timestampUs: bigint;
  /** The DNS message. Not to be written to. */
  readonly message: Uint8Array;
}

/** Signs a DNS message. Throws DiscoveryError `too-large`. */
export function signPkarrPacket(
  secretKey: SecretKey,
  { timestampUs, message }: Pick<PkarrPacket, "timestampUs" | "message">,
): PkarrPacket {
  if (message.length > maxPkarrMessageBytes) {
    throw new DiscoveryError(
      "too-large",
      `cannot sign a DNS message of ${message.length} bytes, at most ${maxPkarrMessageBytes} fit`,
    );
  }
  const signature = secretKey.sign(signedText(timestampUs, message));
  return { id: secretKey.publicKey, signature, timestampUs, message };
}

/**
 * Checks the parts of a packet, wherever they come from. Throws DiscoveryError `invalid-record` for sizes, and
 * `bad-signature`.
 */
export function checkPkarrPacket(packet: PkarrPacket): PkarrPacket {
  const { id, signature, timestampUs, message } = packet;
  if (signature.length !== signatureLength || message.length > maxPkarrMessageBytes) {
    throw invalid(
      `a signature of ${signature.length} bytes and a message of ${message.length}, expected ${signatureLength} and at most ${maxPkarrMessageBytes}`,
    );
  }
  if (timestampUs < 0n || timestampUs > maxTimestampUs) {
    throw invalid(`timestamp ${timestampUs} is not from 0 to 2^64-1`);
  }
  if (!verify(id, signedText(timestampUs, message), signature)) {
    throw new DiscoveryError("bad-signature", `invalid pkarr packet: not signed by ${id.short}`);
  }
  return packet;
}

/** Reads and checks what a pkarr relay gives for a key. Throws DiscoveryError `invalid-record` and `bad-signature`. */
export function parsePkarrPayload(id: EndpointId, payload: Uint8Array): PkarrPacket {
  if (payload.length < headerLength || payload.length > maxPkarrPayloadBytes) {
    throw invalid(
      `${payload.length} bytes, expected ${headerLength} to ${maxPkarrPayloadBytes} without the key`,
    );
  }
  const reader = new ByteReader(payload);
  return checkPkarrPacket({
    id,
    signature: reader.bytes(signatureLength),
    timestampUs: reader.u64(),
    message: reader.rest(),
  });
}

/** What a pkarr relay takes and gives: the packet without its key. */
export function encodePkarrPayload({ signature, timestampUs, message }: PkarrPacket): Uint8Array {
  return new ByteWriter(headerLength + message.length)
    .bytes(signature)
    .u64(timestampUs)
    .bytes(message)
    .finish();
}

/** Whether `packet` replaces `other`: signed later, or of equal timestamps the one with the greater message. */
export function isNewer(packet: PkarrPacket, other: PkarrPacket): boolean {
  return packet.timestampUs === other.timestampUs
    ? compareBytes(packet.message, other.message) > 0
    : packet.timestampUs > other.timestampUs;
}

/** Throws DiscoveryError `future-record` for a packet that is dated more than a day ahead. */
export function checkPkarrDate({ id, timestampUs }: PkarrPacket, unixMs: number): void {
  const aheadUs = timestampUs - microseconds(unixMs);
  if (aheadUs > maxAheadUs) {
    throw new DiscoveryError(
      "future-record",
      `record of ${id.short} is dated ${aheadUs / 3_600_000_000n} hours ahead of this clock, at most 24 are believed`,
    );
  }
}

/** A clock in the unit of timestamps, which always rises: a packet with a lower one would be ignored by those who read. */
export class PkarrClock {
  #lastUs = 0n;

  /** The time, or a microsecond after what was given before. */
  next(unixMs: number): bigint {
    const now = microseconds(unixMs);
    this.#lastUs = now > this.#lastUs ? now : this.#lastUs + 1n;
    return this.#lastUs;
  }

  /** Somebody holds a packet of ours of that time: what comes next is later. */
  observe(timestampUs: bigint): void {
    // Nothing comes after the last one there is.
    if (timestampUs > this.#lastUs && timestampUs < maxTimestampUs) {
      this.#lastUs = timestampUs;
    }
  }
}

const maxTimestampUs = (1n << 64n) - 1n;

/** Reads the text that is signed: `3:seqi<timestamp>e1:v<length>:<message>`. Throws DiscoveryError `invalid-record`. */
export function parseSignedText(text: Uint8Array): Pick<PkarrPacket, "timestampUs" | "message"> {
  // Both numbers have at most 20 digits.
  const head = String.fromCharCode(...text.subarray(0, 60));
  const [prefix, seq = "", length] =
    /^3:seqi(0|[1-9][0-9]{0,19})e1:v(0|[1-9][0-9]{0,19}):/.exec(head) ?? [];
  if (prefix === undefined || text.length - prefix.length !== Number(length)) {
    throw invalid("signed text of another form");
  }
  return { timestampUs: BigInt(seq), message: text.slice(prefix.length) };
}

/** As BEP 44 signs a value without a salt. */
function signedText(timestampUs: bigint, message: Uint8Array): Uint8Array {
  const prefix = `3:seqi${timestampUs}e1:v${message.length}:`;
  return concatBytes([new TextEncoder().encode(prefix), message]);
}

function microseconds(unixMs: number): bigint {
  return BigInt(Math.floor(unixMs * 1_000));
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const differs = a.findIndex((byte, index) => byte !== b[index]);
  return differs === -1 ? a.length - b.length : (a[differs] ?? 0) - (b[differs] ?? -1);
}

function invalid(problem: string): DiscoveryError {
  return new DiscoveryError("invalid-record", `invalid pkarr packet: ${problem}`);
}
