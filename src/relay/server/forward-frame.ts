import { type DatagramsFrame, encodeRelayFrame, relayFrameType } from "../relay-frame.ts";

/**
 * The frame that takes datagrams of `source` on to their receiver. Takes `message` over, from which `frame` was read: a
 * frame of the usual form is changed in place, because copying is most of what a relay would do.
 */
export function forwardFrame(
  message: Uint8Array,
  frame: DatagramsFrame,
  source: Uint8Array,
): Uint8Array {
  const { peer, ecn, segmentSize } = frame;
  const single = message[0] === relayFrameType.clientDatagram;
  const usual =
    peer.byteOffset === message.byteOffset + 1 && single === (segmentSize === undefined);
  if (!usual) {
    return encodeRelayFrame({ ...frame, peer: source });
  }
  message[0] = single ? relayFrameType.relayDatagram : relayFrameType.relayBatch;
  message.set(source, 1);
  message[ecnOffset] = ecn;
  return message;
}

const ecnOffset = 33;
