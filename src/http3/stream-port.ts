// What stands between the HTTP/3 core and a QUIC stream, in both directions. The core knows nothing else of QUIC.

/** What the core asks of a stream: bytes and events out. */
export interface StreamPort {
  /** QUIC stream id. */
  readonly id: number;
  /** Bytes that were written and wait for credit of the peer. */
  readonly backlog: number;
  /**
   * Writes bytes, which must not change any more. All are taken; false when some of them have to wait, then
   * `StreamCore.writable` follows. With `fin` the stream ends after them. What comes after the end is dropped.
   */
  write(bytes: Uint8Array, fin: boolean): boolean;
  /** The same with bytes that may change after the call: what has to wait is copied. */
  writeBorrowed(bytes: Uint8Array, fin: boolean): boolean;
  /** Gives up the sending half; what waits is dropped. Does nothing when it is over. */
  reset(code: bigint): void;
  /** Gives up the receiving half. Does nothing when it is over. */
  stop(code: bigint): void;
  /** `StreamCore.wantsBytes` has become true. */
  pull(): void;
}

/** What the core is told about a stream: bytes and events in. None of these throws. */
export interface StreamCore {
  /** False: leave what arrives where it is, so that flow control stops the peer, until `StreamPort.pull`. */
  readonly wantsBytes: boolean;
  /** Most bytes that `receive` is to get next; by default all that one read of the engine gives. */
  readonly readLimit?: number;
  /** Bytes in order, only while `wantsBytes`. The core may keep `bytes` and give views of them away. */
  receive(bytes: Uint8Array): void;
  /** The peer has finished, and `receive` got everything. Only while `wantsBytes`. */
  finished(): void;
  /** The peer has reset its half; may come at any time before `finished`. */
  wasReset(code: bigint): void;
  /** The peer has stopped reading our half, which is over with that. */
  wasStopped(code: bigint): void;
  /** Everything that waited was written. */
  writable(): void;
  /** The peer has got everything up to our end of the stream. */
  acknowledged(): void;
  /**
   * The connection has ended: what had arrived can be had now or never. What `wantsBytes` lets through after this call
   * still comes, its end included; that there is no more, the core hears from its connection.
   */
  lastCall(): void;
}
