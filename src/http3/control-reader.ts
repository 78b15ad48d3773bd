import { ByteReader, UnexpectedEndError } from "../base/byte-reader.ts";
import type { Role } from "../engine/engine.ts";
import { FrameType, isHttp2FrameType } from "./frame.ts";
import { FrameReader } from "./frame-reader.ts";
import { connectionError, H3 } from "./h3-error.ts";
import { decodeSettings, type Settings } from "./settings.ts";

/** Gets what the peer's control stream says. */
export interface ControlHandler {
  settings(settings: Settings): void;
  /** `id` is not above any before. */
  goaway(id: bigint): void;
  /** A frame without effect on us. */
  frameIgnored(): void;
}

/** A SETTINGS frame that is longer is no honest one: a setting takes 2 to 16 bytes. */
const maxSettingsBytes = 4_096;

/** Reads the peer's control stream (RFC 9114 §6.2.1). Faults are thrown as H3Error (connection). */
export class ControlReader {
  readonly #role: Role;
  readonly #handler: ControlHandler;
  readonly #frames: FrameReader = new FrameReader();
  #hasSettings = false;
  /** The current frame is of these types, and its payload is read whole; others are skipped. */
  #reading: number | undefined;
  #goawayId: bigint | undefined;
  /** The client's MAX_PUSH_ID; we push nothing, but check it. */
  #maxPushId: bigint | undefined;

  /** @param role ours */
  constructor(role: Role, handler: ControlHandler) {
    this.#role = role;
    this.#handler = handler;
  }

  receive(bytes: Uint8Array): void {
    const frames = this.#frames;
    frames.push(bytes);
    for (;;) {
      if (this.#reading !== undefined) {
        const payload = frames.whole();
        if (payload === undefined) {
          return;
        }
        const type = this.#reading;
        this.#reading = undefined;
        this.#frame(type, payload);
        continue;
      }
      frames.skip();
      if (frames.left > 0 || !frames.next()) {
        return;
      }
      this.#begin(frames.type, frames.left);
    }
  }

  #begin(type: number, length: number): void {
    if (!this.#hasSettings && type !== FrameType.SETTINGS) {
      throw connectionError(
        H3.MISSING_SETTINGS,
        `control stream begins with a frame of type ${type} (RFC 9114 §6.2.1)`,
      );
    }
    switch (type) {
      case FrameType.SETTINGS:
        if (this.#hasSettings) {
          throw connectionError(H3.FRAME_UNEXPECTED, "second SETTINGS frame (RFC 9114 §7.2.4)");
        }
        if (length > maxSettingsBytes) {
          throw connectionError(H3.EXCESSIVE_LOAD, `SETTINGS frame of ${length} bytes`);
        }
        this.#reading = type;
        return;
      case FrameType.MAX_PUSH_ID:
        if (this.#role === "client") {
          throw connectionError(
            H3.FRAME_UNEXPECTED,
            "MAX_PUSH_ID frame from a server (RFC 9114 §7.2.7)",
          );
        }
        this.#readId(type, length);
        return;
      case FrameType.CANCEL_PUSH:
      case FrameType.GOAWAY:
        this.#readId(type, length);
        return;
      case FrameType.DATA:
      case FrameType.HEADERS:
      case FrameType.PUSH_PROMISE:
        throw connectionError(
          H3.FRAME_UNEXPECTED,
          `frame of type ${type} on the control stream (RFC 9114 §7)`,
        );
      default:
        if (isHttp2FrameType(type)) {
          throw connectionError(
            H3.FRAME_UNEXPECTED,
            `frame of HTTP/2, type ${type} (RFC 9114 §7.2.8)`,
          );
        }
        this.#handler.frameIgnored();
    }
  }

  /** Such a frame holds one varint. */
  #readId(type: number, length: number): void {
    if (length > 8) {
      throw wrongLength(type);
    }
    this.#reading = type;
  }

  #frame(type: number, payload: Uint8Array): void {
    if (type === FrameType.SETTINGS) {
      this.#hasSettings = true;
      this.#handler.settings(decodeSettings(payload));
      return;
    }
    const id = decodeId(type, payload);
    switch (type) {
      case FrameType.GOAWAY:
        if (this.#goawayId !== undefined && id > this.#goawayId) {
          throw connectionError(
            H3.ID_ERROR,
            `GOAWAY with id ${id} after one with ${this.#goawayId} (RFC 9114 §5.2)`,
          );
        }
        this.#goawayId = id;
        this.#handler.goaway(id);
        break;
      case FrameType.MAX_PUSH_ID:
        if (this.#maxPushId !== undefined && id < this.#maxPushId) {
          throw connectionError(
            H3.ID_ERROR,
            `MAX_PUSH_ID ${id} after ${this.#maxPushId} (RFC 9114 §7.2.7)`,
          );
        }
        this.#maxPushId = id;
        break;
      case FrameType.CANCEL_PUSH:
        // A server has promised no push, a client has allowed none: whatever the id, it is none of ours.
        throw connectionError(
          H3.ID_ERROR,
          `CANCEL_PUSH for push ${id}, which does not exist (RFC 9114 §7.2.3)`,
        );
    }
    this.#handler.frameIgnored();
  }
}

function decodeId(type: number, payload: Uint8Array): bigint {
  try {
    const reader = new ByteReader(payload);
    const id = reader.varint();
    if (reader.remaining === 0) {
      return id;
    }
  } catch (error) {
    if (!(error instanceof UnexpectedEndError)) {
      throw error;
    }
  }
  throw wrongLength(type);
}

function wrongLength(type: number): Error {
  return connectionError(
    H3.FRAME_ERROR,
    `frame of type ${type} does not hold exactly one id (RFC 9114 §7.1)`,
  );
}
