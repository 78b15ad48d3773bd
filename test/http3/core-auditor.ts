import assert from "node:assert/strict";
import { FrameType } from "../../src/http3/frame.ts";
import { FrameReader } from "../../src/http3/frame-reader.ts";
import { Auditor } from "../qpack/auditor.ts";
import type { PeerStream } from "../support/http3-peer.ts";
import type { Arrival, JoinedCores, Side } from "../support/joined-cores.ts";

/** Holds the QPACK encoder of one of two joined cores to its rules, by all that its core writes and hears. */
export class CoreAuditor extends Auditor {
  readonly #frames = new Map<PeerStream, FrameReader>();
  /** Types of the streams that this side writes, and of those that it hears. */
  readonly #written = new Map<number, number>();
  readonly #heard = new Map<number, number>();

  /** @param limits what the other side's SETTINGS say */
  constructor(
    limits: { maxTableCapacity: number; blockedStreams: number },
    cores: JoinedCores,
    side: Side,
  ) {
    super(limits);
    cores[side].onWrite = (stream, bytes) => this.#wrote(stream, bytes);
    const { onArrival } = cores;
    cores.onArrival = (at, arrival) => {
      onArrival(at, arrival);
      if (at === side) {
        this.#arrived(arrival);
      }
    };
  }

  /** Nothing that the encoder has sent is on its way or held any more. */
  checkSettled(): void {
    assert.equal(this.unacknowledgedSections, 0, "sections that hold their references for ever");
    assert.equal(this.knownReceivedCount, this.insertCount, "inserts that are acknowledged");
  }

  #wrote(stream: PeerStream, bytes: Uint8Array): void {
    if ((stream.id & 2) !== 0) {
      const content = withoutType(this.#written, stream.id, bytes);
      if (this.#written.get(stream.id) === 0x02) {
        this.hearInstructions(content);
      }
      return;
    }
    const frames = this.#frames.get(stream) ?? new FrameReader();
    this.#frames.set(stream, frames);
    frames.push(bytes.slice());
    // A frame header may stand for content that comes with the next write.
    while (frames.left > 0 ? frames.piece() !== undefined : frames.next()) {
      if (frames.left > 0 && frames.type === FrameType.HEADERS) {
        const section = frames.whole();
        assert.ok(section !== undefined, "sections are written whole");
        this.hearSection(stream.id, section);
      }
    }
  }

  #arrived(arrival: Arrival): void {
    if (arrival.type === "bytes" && (arrival.streamId & 2) !== 0) {
      const content = withoutType(this.#heard, arrival.streamId, arrival.bytes);
      if (this.#heard.get(arrival.streamId) === 0x03) {
        this.hearAnswers(content);
      }
    }
  }
}

/** Takes the type of a unidirectional stream off its first bytes; ours take one byte. */
function withoutType(types: Map<number, number>, streamId: number, bytes: Uint8Array): Uint8Array {
  if (types.has(streamId) || bytes.length === 0) {
    return bytes;
  }
  types.set(streamId, bytes[0] ?? 0);
  return bytes.subarray(1);
}
