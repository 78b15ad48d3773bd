/** What clients can make a relay hold or do. Every field has a default. */
export interface RelayLimits {
  /** Connections at a time, those in the handshake too. Default 20,000. */
  readonly maxConnections: number;
  /**
   * TCP connections of one host, an IPv4 address or an IPv6 network of 64 bits; more are closed at once. Those of this host
   * itself are not counted, as they may be of a proxy; for a proxy elsewhere this has to be as high as `maxConnections`.
   * Default 1,000: many may share an address.
   */
  readonly maxConnectionsPerHost: number;
  /**
   * Connections of one id: the newest receives, the others wait to take over. The oldest of them is closed when there are
   * more. Default 8.
   */
  readonly maxConnectionsPerId: number;
  /** From the connection's first moment until its id is proven and let in. Default 10,000. */
  readonly handshakeTimeoutMs: number;
  /** A client that has read nothing of what was sent to it for so long is closed. Default 10,000. */
  readonly writeTimeoutMs: number;
  /** Waiting for one client; more is dropped. It adds to its delay when it is slow. Default 1 MiB. */
  readonly maxQueuedBytes: number;
  /** The same in frames. Default 1,024. */
  readonly maxQueuedFrames: number;
  /** Waiting for all clients together. Default 256 MiB. */
  readonly maxTotalQueuedBytes: number;
  /** What is read of one client; it has to wait when it sends more. Default: no limit. */
  readonly bytesPerSecond: number;
  /** What a client may send at once after a pause. Default: a tenth of `bytesPerSecond`. */
  readonly burstBytes: number;
}

export function relayLimits(given: Partial<RelayLimits> = {}): RelayLimits {
  const { bytesPerSecond = Number.POSITIVE_INFINITY } = given;
  const limits: RelayLimits = {
    maxConnections: 20_000,
    maxConnectionsPerHost: 1_000,
    maxConnectionsPerId: 8,
    handshakeTimeoutMs: 10_000,
    writeTimeoutMs: 10_000,
    maxQueuedBytes: 1_048_576,
    maxQueuedFrames: 1_024,
    maxTotalQueuedBytes: 268_435_456,
    bytesPerSecond,
    burstBytes: bytesPerSecond / 10,
    ...given,
  };
  for (const [name, value] of Object.entries(limits)) {
    if (!(value > 0)) {
      throw new RangeError(`invalid relay limit: ${name} is ${value}, and has to be above 0`);
    }
  }
  return limits;
}
