import type { StreamDirection } from "../engine/engine.ts";
import type { StreamCore, StreamPort } from "./stream-port.ts";

/**
 * What the HTTP/3 core asks of a QUIC connection. Nothing but `settings`, `goaway` and `drained` may call back into the core before it
 * has returned.
 */
export interface ConnectionPort {
  /** Undefined when the peer allows no more streams now; `Http3Core.streamsAvailable` follows. */
  openStream(direction: StreamDirection, core: StreamCore): StreamPort | undefined;
  /** Ends the connection; `Http3Core.closed` follows. */
  close(code: bigint, reason: string): void;
  /** Monotonic milliseconds. */
  now(): number;
  /** Runs `callback` soon, in the same turn of the event loop and in the order of the calls. */
  soon(callback: () => void): void;
  /** `Http3Core.handleTimeout` is to be called at this time (of `now`); earlier and more often does no harm. */
  wakeAt(time: number): void;
  /** The first request was begun, or the last one is over. */
  activeChanged(active: boolean): void;
  /** The peer's SETTINGS have arrived. */
  settings(): void;
  /** A peer that sends GOAWAY takes no new requests. Called once. */
  goaway(): void;
  /** We sent GOAWAY, and all requests are over; what we answered has reached the peer. */
  drained(): void;
}
