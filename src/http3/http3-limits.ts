/** Limits on what a peer can make us hold or do. See {@link defaultHttp3Limits}. */
export interface Http3Limits {
  /**
   * Largest field section that we accept, counted as in RFC 9114 §4.2.2, and the longest encoded one. Advertised in
   * SETTINGS. A larger one fails its stream alone with H3_EXCESSIVE_LOAD. Bytes.
   */
  readonly maxFieldSectionSize: number;
  /** QPACK dynamic table that the peer may fill at our side. Advertised in SETTINGS. Bytes. */
  readonly qpackMaxTableCapacity: number;
  /** Streams that may wait for QPACK inserts, each with a field section. Advertised in SETTINGS. */
  readonly qpackBlockedStreams: number;
  /**
   * A header or trailer section must be complete this long after its first byte, and the head of a request this long
   * after its stream was opened. A request that is late is rejected, a response cancelled. Milliseconds.
   */
  readonly headersTimeoutMs: number;
  /** Parts of field sections that wait for their rest, on all streams together; one more part fails its stream. Bytes. */
  readonly maxPartialSectionBytes: number;
  /** What waits on our control and QPACK streams because the peer gives them no credit; above it, the connection ends. Bytes. */
  readonly maxControlBacklog: number;
  /** Time over which the three limits below count. Milliseconds. */
  readonly floodWindowMs: number;
  /**
   * Requests that the peer gave up (reset, or stopped reading) before we had answered, beyond one for every request that
   * we did answer. One more ends the connection with H3_EXCESSIVE_LOAD.
   */
  readonly maxResets: number;
  /**
   * Frames without effect (of unknown type, DATA without bytes, pushes and priorities that we do not use), beyond eight
   * for every message. One more ends the connection with H3_EXCESSIVE_LOAD (RFC 9114 §10.5).
   */
  readonly maxIgnoredFrames: number;
  /** Unidirectional streams of unknown type. One more ends the connection with H3_EXCESSIVE_LOAD (RFC 9114 §10.5). */
  readonly maxIgnoredStreams: number;
}

export const defaultHttp3Limits: Http3Limits = {
  maxFieldSectionSize: 65_536,
  qpackMaxTableCapacity: 4_096,
  qpackBlockedStreams: 16,
  headersTimeoutMs: 10_000,
  maxPartialSectionBytes: 4_194_304,
  maxControlBacklog: 65_536,
  floodWindowMs: 10_000,
  maxResets: 1_000,
  maxIgnoredFrames: 1_000,
  maxIgnoredStreams: 100,
};
