import {
  type ClientFrame,
  encodeClientFrame,
  maxBatchBytes,
  maxDatagramBytes,
  maxSegmentSize,
} from "./relay-frame.ts";

/** Datagrams as the frame that carries them. */
export interface EncodedDatagrams {
  readonly frame: Uint8Array;
  readonly datagrams: number;
  /** Of the datagrams, without the frame around them. */
  readonly bytes: number;
}

/**
 * The frames that carry `bytes`, datagrams of `segmentSize` one behind the other, to `peer`: as few as there can be.
 * Datagrams that no frame can carry are left out. Borrows and copies.
 */
export function encodeDatagramFrames(
  peer: Uint8Array,
  bytes: Uint8Array,
  segmentSize: number,
): EncodedDatagrams[] {
  const frames: EncodedDatagrams[] = [];
  const size = segmentSize > 0 ? segmentSize : bytes.length;
  const perFrame =
    size > Math.min(maxBatchBytes, maxSegmentSize) ? size : maxBatchBytes - (maxBatchBytes % size);
  for (let offset = 0; offset < bytes.length; offset += perFrame) {
    const contents = bytes.subarray(offset, offset + perFrame);
    const single = contents.length <= size;
    if (single && contents.length > maxDatagramBytes) {
      continue;
    }
    const frame: ClientFrame = {
      type: "datagrams",
      peer,
      ecn: 0,
      segmentSize: single ? undefined : size,
      contents,
    };
    frames.push({
      frame: encodeClientFrame(frame),
      datagrams: single ? 1 : Math.ceil(contents.length / size),
      bytes: contents.length,
    });
  }
  return frames;
}
