// The SETTINGS frame (RFC 9114 §7.2.4): pairs of varints, identifier and value, as many as the frame has room for.

import { ByteReader, UnexpectedEndError } from "../base/byte-reader.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { FrameType, writeFrameHeader } from "./frame.ts";
import { connectionError, H3 } from "./h3-error.ts";

/** Settings of RFC 9114 §7.2.4.1 and RFC 9204 §5. */
export const SettingId = {
  QPACK_MAX_TABLE_CAPACITY: 0x01,
  MAX_FIELD_SECTION_SIZE: 0x06,
  QPACK_BLOCKED_STREAMS: 0x07,
} as const;

/**
 * Our extension of HTTP/3: with the value 1, this side sends requests on streams that it opens and takes them on streams
 * that the other side opens, in both roles. It counts when both sides have sent it (docs/requests-both-ways.md).
 *
 * The registry has no range for private use. This is one of the identifiers that are to be chosen at random where nobody
 * is asked (RFC 9000 §22.1.2): the first 30 bits of what SHA-256 makes of "connect-quic/1 requests both ways". Those of
 * the form 0x1f * N + 0x21 are left out: they have to mean nothing, and anybody may send them (RFC 9114 §7.2.4.1).
 */
export const requestsBothWaysSetting = 0x64eda65;

/** What one side told the other. Identifiers and values above 2^53-1 are Infinity, and such identifiers are dropped. */
export interface Settings {
  /** Infinity: no limit. */
  readonly maxFieldSectionSize: number;
  readonly qpackMaxTableCapacity: number;
  readonly qpackBlockedStreams: number;
  /** Settings that RFC 9114 and RFC 9204 do not define, for extensions (RFC 9114 §9). */
  readonly extensions: ReadonlyMap<number, number>;
}

/** What holds for a peer until its SETTINGS arrive (RFC 9114 §7.2.4.2). */
export const initialSettings: Settings = {
  maxFieldSectionSize: Number.POSITIVE_INFINITY,
  qpackMaxTableCapacity: 0,
  qpackBlockedStreams: 0,
  extensions: new Map(),
};

/** The SETTINGS frame, its header included. */
export function encodeSettings(settings: Settings): Uint8Array {
  const payload = new ByteWriter()
    .varint(SettingId.QPACK_MAX_TABLE_CAPACITY)
    .varint(settings.qpackMaxTableCapacity)
    .varint(SettingId.QPACK_BLOCKED_STREAMS)
    .varint(settings.qpackBlockedStreams);
  if (settings.maxFieldSectionSize !== Number.POSITIVE_INFINITY) {
    payload.varint(SettingId.MAX_FIELD_SECTION_SIZE).varint(settings.maxFieldSectionSize);
  }
  for (const [id, value] of settings.extensions) {
    payload.varint(id).varint(value);
  }
  const frame = new ByteWriter();
  writeFrameHeader(frame, FrameType.SETTINGS, payload.length);
  return frame.bytes(payload.finish()).finish();
}

/** Reads the payload of a SETTINGS frame. Throws H3Error (connection): H3_FRAME_ERROR or H3_SETTINGS_ERROR. */
export function decodeSettings(payload: Uint8Array): Settings {
  const reader = new ByteReader(payload);
  const values = new Map<number, number>();
  while (reader.remaining > 0) {
    const { id, value } = readSetting(reader);
    if (isHttp2Setting(id)) {
      throw connectionError(
        H3.SETTINGS_ERROR,
        `setting ${id} belongs to HTTP/2 (RFC 9114 §7.2.4.1)`,
      );
    }
    if (values.has(id)) {
      throw connectionError(
        H3.SETTINGS_ERROR,
        `setting 0x${id.toString(16)} occurs twice (RFC 9114 §7.2.4)`,
      );
    }
    if (id !== Number.POSITIVE_INFINITY) {
      values.set(id, value);
    }
  }
  const take = (id: number, initial: number): number => {
    const value = values.get(id) ?? initial;
    values.delete(id);
    return value;
  };
  return {
    maxFieldSectionSize: take(
      SettingId.MAX_FIELD_SECTION_SIZE,
      initialSettings.maxFieldSectionSize,
    ),
    qpackMaxTableCapacity: take(SettingId.QPACK_MAX_TABLE_CAPACITY, 0),
    qpackBlockedStreams: take(SettingId.QPACK_BLOCKED_STREAMS, 0),
    extensions: values,
  };
}

function readSetting(reader: ByteReader): { id: number; value: number } {
  try {
    return { id: reader.varintNumber(), value: reader.varintNumber() };
  } catch (error) {
    if (error instanceof UnexpectedEndError) {
      throw connectionError(
        H3.FRAME_ERROR,
        "SETTINGS frame ends inside of a setting (RFC 9114 §7.1)",
      );
    }
    throw error;
  }
}

/** Settings of HTTP/2 without a meaning in HTTP/3 (RFC 9114 §11.2.2). */
function isHttp2Setting(id: number): boolean {
  return id === 0x00 || (id >= 0x02 && id <= 0x05);
}
