import { ByteReader, UnexpectedEndError } from "../base/byte-reader.ts";
import { RelayError } from "./relay-error.ts";

// The frames that a relay and its clients exchange after the handshake, one to a WebSocket message (iroh-relay 1.4,
// src/protos/relay.rs). A frame begins with its type, a QUIC varint (RFC 9000 §16) of one byte in practice:
//
//   datagrams    4, 6   | id 32 | ECN 1 | contents …
//   batch        5, 7   | id 32 | ECN 1 | segment size 2 | contents …
//   gone         8      | id 32 |
//   ping, pong   9, 10  | 8 bytes |
//   health       11     | UTF-8 … |                     version 1
//   restarting   12     | reconnect in, ms 4 | try for, ms 4 |
//   status       13     | status 1 | anything … |       version 2

/** Versions of the protocol. Version 2 has `status` in the place of version 1's `health`. */
export type RelayVersion = 1 | 2;

/** All types on the wire, those of the handshake too. */
export const relayFrameType = {
  serverChallenge: 0,
  clientAuth: 1,
  serverConfirmsAuth: 2,
  serverDeniesAuth: 3,
  clientDatagram: 4,
  clientBatch: 5,
  relayDatagram: 6,
  relayBatch: 7,
  endpointGone: 8,
  ping: 9,
  pong: 10,
  health: 11,
  restarting: 12,
  status: 13,
} as const;

/** Payload after the type: a longer one ends the connection. */
export const maxFramePayload = 65_536;
/**
 * Contents of a frame with one datagram. A relay takes one byte more from a client, but cannot send that on, and then drops
 * the connection of the receiver.
 */
export const maxDatagramBytes = 65_502;
/** Contents of a batch. */
export const maxBatchBytes = 65_500;
/** Datagrams of a batch are at most this long. */
export const maxSegmentSize = 0xffff;

/** The two bits of the IP header (RFC 3168): not capable, ECT(1), ECT(0), congestion experienced. */
export type Ecn = 0 | 1 | 2 | 3;

/** Datagrams from or to a peer: one, or with `segmentSize` several of that size, the last possibly shorter. */
export interface DatagramsFrame {
  readonly type: "datagrams";
  /** The id of the receiver on the way to the relay, of the sender on the way back. Not checked to be a curve point. */
  readonly peer: Uint8Array;
  readonly ecn: Ecn;
  readonly segmentSize: number | undefined;
  readonly contents: Uint8Array;
}

export interface PingFrame {
  readonly type: "ping" | "pong";
  /** 8 bytes, in a pong those of the ping. */
  readonly data: Uint8Array;
}

export type ClientFrame = DatagramsFrame | PingFrame;

export type RelayFrame = PingFrame | RelayNews;

/** What a relay has to say besides keeping the connection alive. */
export type RelayNews =
  | DatagramsFrame
  /** The last connection of a peer that the receiver had heard from has ended. */
  | { readonly type: "endpoint-gone"; readonly peer: Uint8Array }
  | { readonly type: "health"; readonly text: string }
  /** The relay goes away for a while: when to come back, and for how long to try before taking it for lost. */
  | { readonly type: "restarting"; readonly reconnectInMs: number; readonly tryForMs: number }
  /** See {@link relayStatus}; other numbers are of versions to come. */
  | { readonly type: "status"; readonly status: number };

export const relayStatus = { healthy: 0, sameIdElsewhere: 1, rateLimited: 2 } as const;

/**
 * Reads what a client has sent to a relay. The parts are views of `message`.
 * Throws {@link RelayError} `invalid-frame`, upon which the connection has to end.
 */
export function decodeClientFrame(message: Uint8Array): ClientFrame {
  return decode(message, (type, reader) => {
    switch (type) {
      case relayFrameType.clientDatagram:
      case relayFrameType.clientBatch:
        return readDatagrams(reader, type === relayFrameType.clientBatch);
      case relayFrameType.ping:
      case relayFrameType.pong:
        return readPing(reader, type);
      default:
        throw unexpected(type);
    }
  });
}

/** Reads what a relay has sent to a client. As {@link decodeClientFrame}. */
export function decodeRelayFrame(message: Uint8Array, version: RelayVersion): RelayFrame {
  return decode(message, (type, reader) => {
    switch (type) {
      case relayFrameType.relayDatagram:
      case relayFrameType.relayBatch:
        return readDatagrams(reader, type === relayFrameType.relayBatch);
      case relayFrameType.endpointGone:
        return { type: "endpoint-gone", peer: exactly(reader, idLength) };
      case relayFrameType.ping:
      case relayFrameType.pong:
        return readPing(reader, type);
      case relayFrameType.health:
        if (version !== 1) {
          throw unexpected(type);
        }
        return { type: "health", text: readText(reader.rest()) };
      case relayFrameType.restarting: {
        const times = new ByteReader(exactly(reader, 8));
        return { type: "restarting", reconnectInMs: times.u32(), tryForMs: times.u32() };
      }
      case relayFrameType.status:
        if (version !== 2) {
          throw unexpected(type);
        }
        return { type: "status", status: reader.u8() };
      default:
        throw unexpected(type);
    }
  });
}

/** Reads the type of a frame and leaves its payload. Throws as the other readers do. */
export function decode<T>(message: Uint8Array, read: (type: number, payload: ByteReader) => T): T {
  try {
    const reader = new ByteReader(message);
    const type = reader.varintNumber();
    if (reader.remaining > maxFramePayload) {
      throw invalid(`payload of ${reader.remaining} bytes, at most ${maxFramePayload} allowed`);
    }
    return read(type, reader);
  } catch (error) {
    if (error instanceof UnexpectedEndError) {
      throw new RelayError("invalid-frame", `invalid relay frame: ${error.message}`, {
        cause: error,
      });
    }
    throw error;
  }
}

/** What a client sends. Throws RangeError for datagrams that must not be sent. */
export function encodeClientFrame(frame: ClientFrame): Uint8Array {
  return frame.type === "datagrams"
    ? encodeDatagrams(relayFrameType.clientDatagram, frame)
    : encodePing(frame);
}

/** What a relay sends. Throws RangeError for datagrams that must not be sent. */
export function encodeRelayFrame(frame: RelayFrame): Uint8Array {
  switch (frame.type) {
    case "datagrams":
      return encodeDatagrams(relayFrameType.relayDatagram, frame);
    case "ping":
    case "pong":
      return encodePing(frame);
    case "endpoint-gone":
      return withType(relayFrameType.endpointGone, frame.peer);
    case "health":
      return withType(relayFrameType.health, new TextEncoder().encode(frame.text));
    case "restarting": {
      const bytes = new Uint8Array(9);
      const view = new DataView(bytes.buffer);
      bytes[0] = relayFrameType.restarting;
      view.setUint32(1, frame.reconnectInMs);
      view.setUint32(5, frame.tryForMs);
      return bytes;
    }
    case "status":
      return Uint8Array.of(relayFrameType.status, frame.status);
  }
}

/** Whether a frame with these contents reaches its receiver without harm: see {@link maxDatagramBytes}. */
export function isSendable(frame: DatagramsFrame): boolean {
  const { length } = frame.contents;
  return (
    length > 0 && length <= (frame.segmentSize === undefined ? maxDatagramBytes : maxBatchBytes)
  );
}

/** @param type of a single datagram; a batch has the next one */
function encodeDatagrams(type: number, frame: DatagramsFrame): Uint8Array {
  const { peer, ecn, segmentSize, contents } = frame;
  if (!isSendable(frame)) {
    throw new RangeError(`cannot send ${contents.length} bytes in one relay frame`);
  }
  const head = datagramHead + (segmentSize === undefined ? 0 : 2);
  const bytes = new Uint8Array(head + contents.length);
  bytes[0] = segmentSize === undefined ? type : type + 1;
  bytes.set(peer, 1);
  bytes[1 + idLength] = ecn;
  if (segmentSize !== undefined) {
    bytes[datagramHead] = segmentSize >>> 8;
    bytes[datagramHead + 1] = segmentSize;
  }
  bytes.set(contents, head);
  return bytes;
}

function encodePing({ type, data }: PingFrame): Uint8Array {
  return withType(relayFrameType[type], data);
}

function withType(type: number, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + payload.length);
  bytes[0] = type;
  bytes.set(payload, 1);
  return bytes;
}

function readDatagrams(reader: ByteReader, batch: boolean): DatagramsFrame {
  const peer = reader.bytes(idLength);
  // The upper bits mean nothing, and are not an error.
  const ecn = (reader.u8() & 3) as Ecn;
  const segmentSize = batch ? reader.u16() : 0;
  return {
    type: "datagrams",
    peer,
    ecn,
    // Upstream takes a batch with segments of 0 bytes for a single datagram.
    segmentSize: segmentSize === 0 ? undefined : segmentSize,
    contents: reader.rest(),
  };
}

function readPing(reader: ByteReader, type: number): PingFrame {
  return { type: type === relayFrameType.ping ? "ping" : "pong", data: exactly(reader, 8) };
}

function exactly(reader: ByteReader, length: number): Uint8Array {
  if (reader.remaining !== length) {
    throw invalid(`${reader.remaining} bytes, expected ${length}`);
  }
  return reader.rest();
}

function readText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (error) {
    throw new RelayError("invalid-frame", "invalid relay frame: text is not UTF-8", {
      cause: error,
    });
  }
}

function unexpected(type: number): RelayError {
  return invalid(`type ${type} is not expected here`);
}

function invalid(problem: string): RelayError {
  return new RelayError("invalid-frame", `invalid relay frame: ${problem}`);
}

const idLength = 32;
/** Type, id and ECN. */
const datagramHead = 1 + idLength + 1;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
