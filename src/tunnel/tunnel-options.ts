import type { BinaryReadOptions, BinaryWriteOptions } from "@bufbuild/protobuf";
import type { CallOptions, ContextValues, Interceptor } from "@connectrpc/connect";
import type { TunnelLimits } from "./tunnel-limits.ts";

/** What both ends of a tunnel can be asked for. */
export interface TunnelOptions {
  /**
   * Flow control for each stream, where the peer knows it (revision one of the protocol). Default true; false is for tests
   * against old peers, since a reader that is slow then fails instead of slowing its writer down.
   */
  readonly flowControl?: boolean;
  /** What the peer can make this side hold. */
  readonly limits?: Partial<TunnelLimits>;
  /**
   * How long the other side may take until a tunnel is open, which fails with DeadlineExceeded after that. Milliseconds,
   * default 10,000.
   */
  readonly openTimeoutMs?: number;
}

/** How a tunnel is opened. */
export interface OpenTunnelOptions extends TunnelOptions {
  /** Sent when the tunnel is opened: handlers on the other side find them at `tunnelKey`. */
  readonly headers?: NonNullable<CallOptions["headers"]>;
  /** For the interceptors of the transport that carries the tunnel. */
  readonly contextValues?: ContextValues;
  /** Closes the tunnel at once when it fires. */
  readonly signal?: AbortSignal;
}

/** Of the calls through a tunnel: those options of Connect's transports that a tunnel has a use for. */
export interface TunnelCallOptions {
  /** Go around every call through the tunnel, not around the one that opens it. */
  readonly interceptors?: Interceptor[];
  /** Largest message that is read. Bytes, default 16 MiB. */
  readonly readMaxBytes?: number;
  /** Largest message that is sent. Bytes, default 4 GiB. */
  readonly writeMaxBytes?: number;
  /** For calls that come without a timeout. Milliseconds, default none. */
  readonly defaultTimeoutMs?: number;
  readonly binaryOptions?: Partial<BinaryReadOptions & BinaryWriteOptions>;
}

export interface CloseTunnelOptions {
  /** How long calls that run may take to end. Milliseconds, default 0. */
  readonly graceMs?: number;
}

export const defaultOpenTimeoutMs = 10_000;
