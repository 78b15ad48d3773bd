// What the suite needs to know of a transport to test it. What it cannot do is data, with the reason, so that a run lists it.

import type { Interceptor, Transport } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";

export type Protocol = "connect" | "grpc" | "grpc-web";

/** What a test asks of a transport: the options that transports of connect-es share, with their defaults. */
export interface TransportConfig {
  readonly protocol: Protocol;
  readonly useBinaryFormat?: boolean;
  readonly acceptCompression?: Compression[];
  readonly sendCompression?: Compression;
  readonly compressMinBytes?: number;
  readonly readMaxBytes?: number;
  readonly writeMaxBytes?: number;
  readonly useHttpGet?: boolean;
  readonly defaultTimeoutMs?: number;
  readonly interceptors?: Interceptor[];
}

/** A way from a client to the test services. */
export interface Subject {
  readonly name: string;
  readonly capabilities: Capabilities;
  /** What it does otherwise than the suite demands. */
  readonly deviations?: readonly Deviation[];
  start(): Promise<RunningSubject>;
}

export interface RunningSubject {
  /** A transport to the running services; a new one, or one that the subject has already. */
  transport(config: TransportConfig): Transport;
  /** The id by which the services know our transports. */
  readonly peerId?: string;
  /** Loses the connection of all transports: what the services notice is not a cancelled call. Later calls may fail. */
  disconnect?(): Promise<void>;
  close(): Promise<void>;
}

/** True, or why not. */
export type Capability = true | string;

export interface Capabilities {
  readonly connect: Capability;
  readonly grpc: Capability;
  readonly "grpc-web": Capability;
  /** Messages can be in JSON. */
  readonly json: Capability;
  /** Messages can be compressed one by one. */
  readonly compression: Capability;
  /** Requests and responses of one call flow at the same time. */
  readonly fullDuplex: Capability;
  /** Some messages travel before they are asked for. */
  readonly ahead: Capability;
  /** A writer whose reader does not read is held up after a bounded number of bytes. */
  readonly backpressure: Capability;
  /** Leaving the loop over responses ends the call. */
  readonly leave: Capability;
  /** The services know who calls. */
  readonly peerIdentity: Capability;
  /** `disconnect()` is there. */
  readonly disconnect: Capability;
}

/** Tests that fail over this subject. */
export interface Deviation {
  /** Names of tests. */
  readonly tests: readonly string[];
  /** Default: all. */
  readonly protocols?: readonly Protocol[];
  /** Whose fault it is, and which. */
  readonly reason: string;
  /**
   * "fails": the test runs all the same, and has to fail. "hangs", and "varies" from run to run: it does not run.
   * Default "fails".
   */
  readonly outcome?: "fails" | "hangs" | "varies";
}
