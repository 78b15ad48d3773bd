import { inRange } from "../rpc/check-options.ts";
import { defaultReceiveBudget } from "../rpc/receive-budget.ts";

/** What a peer can make a tunnel hold. */
export interface TunnelLimits {
  /**
   * What one stream may send before its reader takes it; the reader's window. Bytes, default 65,536. More helps where the
   * way is long: a stream moves at most this much per round trip.
   */
  readonly windowBytes: number;
  /**
   * What one stream without flow control (revision zero) may have waiting for its reader. It fails with ResourceExhausted
   * beyond that, because the other choice would be to hold up all streams of the tunnel. Bytes, default 4 MiB.
   */
  readonly unpacedBytes: number;
  /** Streams that a tunnel server has under way at once, handlers of cancelled ones included. Default 1000. */
  readonly maxStreams: number;
  /**
   * What the calls that a tunnel server has under way may hold together of messages that have not arrived whole. Above it
   * only the call that holds most goes on and the others wait. Bytes, default 64 MiB.
   */
  readonly receiveBudgetBytes: number;
}

export const defaultTunnelLimits: TunnelLimits = {
  windowBytes: 65_536,
  unpacedBytes: 4_194_304,
  maxStreams: 1_000,
  receiveBudgetBytes: defaultReceiveBudget,
};

/** Throws TypeError or RangeError for limits that cannot be. */
export function resolveLimits(limits: Partial<TunnelLimits> = {}): TunnelLimits {
  inRange("limits.windowBytes", limits.windowBytes, 1, maxWindowBytes);
  inRange("limits.unpacedBytes", limits.unpacedBytes, 1, Number.MAX_SAFE_INTEGER);
  inRange("limits.maxStreams", limits.maxStreams, 1, Number.MAX_SAFE_INTEGER);
  inRange("limits.receiveBudgetBytes", limits.receiveBudgetBytes, 1, Number.MAX_SAFE_INTEGER);
  return { ...defaultTunnelLimits, ...limits };
}

/** Largest data of one frame: streams take turns frame by frame. Bytes. */
export const maxPieceBytes = 16_384;

/** What windows may grow to; a number on the wire has 32 bits. Bytes. */
export const maxWindowBytes = 0xffff_ffff;

/** Messages of one stream that wait for their reader: empty ones take no window. */
export const maxWaitingMessages = 65_536;

/** Headers or trailers of a call: names and values together. Bytes, as UTF-16 code units. */
export const maxMetadataSize = 1_048_576;

/** Streams that were refused, and whose refusal the peer has not read. The tunnel ends beyond that. */
export const maxWaitingRefusals = 1_000;

/** How long the other half of the call that carries a tunnel may take to say why this half has ended. Milliseconds. */
export const lastWordsMs = 1_000;
