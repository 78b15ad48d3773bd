// What we use of the native module in @matrixai/quic: quiche 0.18.0 with BoringSSL, without sockets and timers.
//
// It throws `Error`s whose message is quiche's name for the error, with a number where there is one: see nativeError.

import { EngineError } from "../engine.ts";

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export interface PacketInfo {
  readonly from: HostPort;
  readonly to: HostPort;
}

export interface NativeConfig {
  verifyPeer(verify: boolean): void;
  grease(grease: boolean): void;
  setApplicationProtos(protocols: string[]): void;
  setMaxIdleTimeout(ms: number): void;
  setMaxRecvUdpPayloadSize(bytes: number): void;
  setMaxSendUdpPayloadSize(bytes: number): void;
  setInitialMaxData(bytes: number): void;
  setInitialMaxStreamDataBidiLocal(bytes: number): void;
  setInitialMaxStreamDataBidiRemote(bytes: number): void;
  setInitialMaxStreamDataUni(bytes: number): void;
  setInitialMaxStreamsBidi(count: number): void;
  setInitialMaxStreamsUni(count: number): void;
  setActiveConnectionIdLimit(count: number): void;
  setDisableActiveMigration(disable: boolean): void;
  setCcAlgorithmName(name: string): void;
  enablePacing(enable: boolean): void;
  enableDgram(receive: boolean, receiveQueueLength: number, sendQueueLength: number): void;
  setMaxStreamWindow(bytes: number): void;
  setMaxConnectionWindow(bytes: number): void;
  setStatelessResetToken(token: bigint | null): void;
}

export interface NativeConnectionError {
  readonly isApp: boolean;
  readonly errorCode: number;
  readonly reason: Uint8Array;
}

export interface NativeStats {
  readonly lost: number;
  readonly peerMaxIdleTimeout: number;
}

export interface NativePathStats {
  readonly rtt: number;
  readonly cwnd: number;
  readonly pmtu: number;
}

/** Numbers for `streamShutdown`. */
export const shutdownRead = 0;
export const shutdownWrite = 1;

export interface NativeConnection {
  /** Decrypts in place. */
  recv(packet: Uint8Array, info: PacketInfo): number;
  /** The length of the datagram that it wrote, or null when there is nothing to send. */
  send(into: Uint8Array): [length: number, info: unknown] | null;
  streamRecv(id: number, into: Uint8Array): [length: number, fin: boolean] | null;
  streamSend(id: number, bytes: Uint8Array, fin: boolean): number | null;
  streamPriority(id: number, urgency: number, incremental: boolean): void;
  streamShutdown(id: number, half: number, code: number): unknown;
  streamCapacity(id: number): number;
  peerStreamsLeftBidi(): number;
  peerStreamsLeftUni(): number;
  readable(): Iterable<number>;
  isReadable(): boolean;
  dgramRecvQueueLen(): number;
  dgramRecvVec(): Uint8Array | null;
  dgramSend(bytes: Uint8Array): unknown;
  dgramSendQueueByteSize(): number;
  dgramMaxWritableLen(): number | null;
  /** Milliseconds, cut off. */
  timeout(): number | null;
  onTimeout(): void;
  close(isApplication: boolean, code: number, reason: Uint8Array): unknown;
  applicationProto(): Uint8Array;
  peerCertChain(): Uint8Array[] | null;
  isEstablished(): boolean;
  isDraining(): boolean;
  isClosed(): boolean;
  isTimedOut(): boolean;
  peerError(): NativeConnectionError | null;
  localError(): NativeConnectionError | null;
  stats(): NativeStats;
  pathStats(): NativePathStats[];
  sendAckEliciting(): void;
}

export interface Native {
  readonly Config: {
    withBoringSslCtx(
      verifyPeer: boolean,
      verifyAllowFail: boolean,
      authorities: Uint8Array | null,
      keys: Uint8Array[] | null,
      certificates: Uint8Array[] | null,
      signatureAlgorithms: string,
    ): NativeConfig;
  };
  readonly Connection: {
    connect(
      serverName: string | null,
      sourceId: Uint8Array,
      local: HostPort,
      remote: HostPort,
      config: NativeConfig,
    ): NativeConnection;
    accept(
      sourceId: Uint8Array,
      originalDestinationId: Uint8Array | null,
      local: HostPort,
      remote: HostPort,
      config: NativeConfig,
    ): NativeConnection;
  };
  /** Writes a Retry packet, and returns its length. */
  retry(
    sourceId: Uint8Array,
    destinationId: Uint8Array,
    newSourceId: Uint8Array,
    token: Uint8Array,
    version: number,
    into: Uint8Array,
  ): number;
}

const loaded = await load();

/** The native module. Throws {@link EngineError} "engine-failed" where it is not installed or has no binary. */
export function native(): Native {
  if ("module" in loaded) {
    return loaded.module;
  }
  throw new EngineError(
    "engine-failed",
    "cannot load quiche: run `npm install @matrixai/quic` (it has binaries for some platforms only)",
    { cause: loaded.problem },
  );
}

async function load(): Promise<{ readonly module: Native } | { readonly problem: unknown }> {
  try {
    // Its declarations describe another module shape than the one it has.
    const module: unknown = (await import("@matrixai/quic/native/quiche.js")).default;
    return { module: module as Native };
  } catch (problem) {
    return { problem };
  }
}

/** What a native call has thrown. */
export function nativeError(error: unknown): { readonly name: string; readonly number: bigint } {
  const message = error instanceof Error ? error.message : String(error);
  const match = /^(\w+)(?:\(([0-9]+)\))?$/.exec(message);
  return { name: match?.[1] ?? message, number: BigInt(match?.[2] ?? 0) };
}
