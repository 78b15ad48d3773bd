// Frames of HTTP/3 (RFC 9114 §7):
//
//   type (varint) | length (varint) | payload

import { ByteWriter } from "../base/byte-writer.ts";

/** Frame types that we know (RFC 9114 §7.2, §11.2.1). All others are skipped. */
export const FrameType = {
  DATA: 0x00,
  HEADERS: 0x01,
  CANCEL_PUSH: 0x03,
  SETTINGS: 0x04,
  PUSH_PROMISE: 0x05,
  GOAWAY: 0x07,
  MAX_PUSH_ID: 0x0d,
} as const;

/** Types of unidirectional streams (RFC 9114 §6.2, RFC 9204 §4.2). */
export const StreamType = {
  CONTROL: 0x00,
  PUSH: 0x01,
  QPACK_ENCODER: 0x02,
  QPACK_DECODER: 0x03,
} as const;

/** PRIORITY, PING, WINDOW_UPDATE and CONTINUATION of HTTP/2, which must not be sent (RFC 9114 §7.2.8, §11.2.1). */
export function isHttp2FrameType(type: number): boolean {
  return type === 0x02 || type === 0x06 || type === 0x08 || type === 0x09;
}

/** The n-th of the values that mean nothing and may be sent to keep receivers honest (RFC 9114 §7.2.4.1, §7.2.8, §8.1). */
export function reservedValue(n: number): number {
  return 0x1f * n + 0x21;
}

export function writeFrameHeader(to: ByteWriter, type: number, length: number): void {
  to.varint(type).varint(length);
}

/** A GOAWAY frame: a request stream id from whom serves, else a push id (RFC 9114 §7.2.6). */
export function encodeGoaway(id: number): Uint8Array {
  const payload = new ByteWriter(8).varint(id).finish();
  const frame = new ByteWriter(10);
  writeFrameHeader(frame, FrameType.GOAWAY, payload.length);
  return frame.bytes(payload).finish();
}
