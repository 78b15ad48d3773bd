import { StreamType } from "./frame.ts";
import { connectionError } from "./h3-error.ts";
import type { Http3Limits } from "./http3-limits.ts";
import { LocalStream, type LocalStreamOwner } from "./local-stream.ts";
import type { FieldSection } from "./qpack/field.ts";
import { type DecodeOutcome, QpackDecoder } from "./qpack/qpack-decoder.ts";
import { QpackEncoder, type QpackEncoderOptions } from "./qpack/qpack-encoder.ts";
import { QpackError } from "./qpack/qpack-error.ts";
import type { Settings } from "./settings.ts";

export interface QpackStreamsOwner extends LocalStreamOwner {
  soon(callback: () => void): void;
  /** A section that `decode` found blocked can be read now, or is too large. */
  unblocked(streamId: number, outcome: DecodeOutcome): void;
}

/**
 * QPACK of one connection with its streams (RFC 9204 §4.2). Ours are opened when there is something to say on them.
 * Faults of the peer are thrown as H3Error (connection).
 */
export class QpackStreams {
  readonly #owner: QpackStreamsOwner;
  readonly #encoder: QpackEncoder;
  readonly #decoder: QpackDecoder;
  readonly #encoderStream: LocalStream;
  readonly #decoderStream: LocalStream;
  #flushing = false;

  /** @param encoder how the peer's table is used, where it is not to be as {@link encoderDefaults} */
  constructor(
    limits: Http3Limits,
    owner: QpackStreamsOwner,
    encoder: Partial<QpackEncoderOptions> = {},
  ) {
    this.#owner = owner;
    this.#encoder = new QpackEncoder({ ...encoderDefaults, ...encoder });
    this.#decoder = new QpackDecoder({
      maxTableCapacity: limits.qpackMaxTableCapacity,
      blockedStreams: limits.qpackBlockedStreams,
      maxFieldSectionSize: limits.maxFieldSectionSize,
    });
    this.#encoderStream = new LocalStream(StreamType.QPACK_ENCODER, owner, (writable) =>
      this.#encoder.setEncoderStreamWritable(writable),
    );
    this.#decoderStream = new LocalStream(StreamType.QPACK_DECODER, owner);
  }

  /** The peer allows more streams. */
  open(): void {
    this.#encoderStream.open();
    this.#decoderStream.open();
  }

  setPeerSettings(settings: Settings): void {
    this.#encoder.setPeerLimits({
      maxTableCapacity: settings.qpackMaxTableCapacity,
      blockedStreams: settings.qpackBlockedStreams,
    });
  }

  encode(streamId: number, fields: FieldSection): Uint8Array {
    const section = this.#encoder.encode(streamId, fields);
    const instructions = this.#encoder.takeEncoderStream();
    if (instructions !== undefined) {
      this.#encoderStream.send(instructions);
    }
    return section;
  }

  decode(streamId: number, bytes: Uint8Array): DecodeOutcome {
    const outcome = checked(() => this.#decoder.decode(streamId, bytes));
    this.#flushSoon();
    return outcome;
  }

  cancelDecoding(streamId: number): void {
    this.#decoder.cancelStream(streamId);
    this.#flushSoon();
  }

  receiveEncoderStream(bytes: Uint8Array): void {
    const unblocked = checked(() => this.#decoder.handleEncoderStream(bytes));
    this.#flushSoon();
    for (const { streamId, outcome } of unblocked) {
      this.#owner.unblocked(streamId, outcome);
    }
  }

  receiveDecoderStream(bytes: Uint8Array): void {
    checked(() => this.#encoder.handleDecoderStream(bytes));
  }

  /** What all streams of a turn have to tell the peer's encoder leaves in one write. */
  #flushSoon(): void {
    if (!this.#flushing) {
      this.#flushing = true;
      this.#owner.soon(() => {
        this.#flushing = false;
        const instructions = this.#decoder.takeDecoderStream();
        if (instructions !== undefined) {
          this.#decoderStream.send(instructions);
        }
      });
    }
  }
}

/**
 * Refers to nothing that the peer has not acknowledged: a lost datagram of the encoder stream would otherwise hold up calls
 * that have nothing to do with it (RFC 9204 §2.1.2). It costs some bytes in the first round trip.
 */
const encoderDefaults: Partial<QpackEncoderOptions> = { maxBlockedStreams: 0 };

function checked<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw error instanceof QpackError ? connectionError(error.code, error.message) : error;
  }
}
