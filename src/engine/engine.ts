// The contract between QUIC and everything above it. Our side owns it; an engine (noq, quiche) adapts to it.
//
// Push-based: an engine calls handlers, because a promise or an iterator per chunk costs more than the packet that
// brought it. Handlers run inside the engine's turn of the event loop, never inside a call into the engine made by the
// same owner, `destroy` excepted; they may call back into the engine freely. All that they cause leaves at the end
// of the turn at the latest.
//
// Application error codes are bigint: the wire carries 62 bits, and an unknown code must not lose any.
// Stream ids are numbers: a connection cannot open 2^53 streams.

import type { Platform } from "../base/platform.ts";
import type { SocketAddress } from "../base/socket-address.ts";

export type StreamDirection = "bidirectional" | "unidirectional";
export type Role = "client" | "server";

/** RFC 7250 raw public key, as iroh peers present it: the key is the identity. */
export interface RawKeyCredentials {
  readonly type: "raw-key";
  /** Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Signs with the private key, which stays outside of the engine. Synchronous; returns 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
  /**
   * For calls to servers that have certificates: authorities that vouch for them, in DER. Such a server does not see the
   * key. Without any, `connect` takes keys alone.
   */
  readonly serverAuthorities?: readonly Uint8Array[];
}

/** An X.509 certificate and its private key. */
export interface CertifiedKey {
  /** DER; the leaf first, then what leads from it towards an authority. */
  readonly chain: readonly Uint8Array[];
  /** Signature schemes of TLS 1.3 (RFC 8446 §4.2.3) that the key makes, most wanted first. */
  readonly signatureSchemes: readonly number[];
  /** Signs with the private key, by one of `signatureSchemes`. Synchronous. */
  sign(message: Uint8Array, signatureScheme: number): Uint8Array;
  /** The private key as PKCS #8 in DER, for engines that cannot have others sign for them. */
  exportPrivateKey(): Uint8Array;
}

/** Certificates of the web's kind: names, authorities that vouch for them, dates. */
export interface WebCredentials {
  readonly type: "web";
  /** What this side shows: as a server always, so that one is needed to accept; as a client when it is asked. */
  readonly certificate?: CertifiedKey;
  /** Authorities that servers which we dial must be vouched for by. Certificates in DER; without any, dialing throws. */
  readonly serverAuthorities?: readonly Uint8Array[];
  /** Asks those who dial for a certificate. Default: they are not asked, and one that is offered is not looked at. */
  readonly clientCertificates?: {
    /** Certificates in DER. A client that shows one of others fails the handshake. */
    readonly authorities: readonly Uint8Array[];
    /** Whether the handshake fails without one. */
    readonly required: boolean;
  };
}

/** Who an endpoint is towards the other side, and how the other side proves who it is. */
export type Credentials = RawKeyCredentials | WebCredentials;

/** Whom a client means to reach: of the same type as its credentials, or a server that those know authorities for. */
export type ExpectedIdentity =
  /** Ed25519, 32 bytes. */
  | { readonly type: "raw-key"; readonly publicKey: Uint8Array }
  /** A DNS name or an IP address, as certificates have them. */
  | { readonly type: "web"; readonly serverName: string };

/** What the other side has proven to be: of the type that was expected, or of that of this side's credentials. */
export type ProvenIdentity =
  /** Ed25519, 32 bytes. */
  | { readonly type: "raw-key"; readonly publicKey: Uint8Array }
  /** Verified, DER, the leaf first. Empty for a client that has shown none. */
  | { readonly type: "web"; readonly chain: readonly Uint8Array[] };

/** Limits and behaviour of QUIC connections. Every field has a default, see {@link defaultTransportOptions}. */
export interface TransportOptions {
  /** A connection on which nothing arrives for this long is closed. Milliseconds; 0 turns it off. */
  readonly idleTimeoutMs: number;
  /** A packet is sent after this long without one, so that the connection stays open. Milliseconds; 0 turns it off. */
  readonly keepAliveIntervalMs: number;
  /** How many bidirectional streams the peer may have open at once. */
  readonly maxBidirectionalStreams: number;
  /** How many unidirectional streams the peer may have open at once. */
  readonly maxUnidirectionalStreams: number;
  /** Bytes that the peer may send on one stream ahead of our reading. */
  readonly streamReceiveWindow: number;
  /**
   * Bytes that the peer may send on all streams together ahead of our reading. What all connections of an endpoint hold
   * must fit into the engine's memory, which for noq ends at 4 GiB.
   */
  readonly receiveWindow: number;
  /** Bytes that we accept from writers before the peer has acknowledged them, on all streams together. */
  readonly sendWindow: number;
  /**
   * Bytes of received QUIC datagrams kept for a reader that is late, where each counts for 64 more than it carries; the
   * oldest go first. 0 refuses datagrams.
   */
  readonly datagramReceiveBuffer: number;
  /** Bytes of QUIC datagrams kept for sending; the oldest go first. */
  readonly datagramSendBuffer: number;
  /** UDP payload size to start with, 1200..65527. Only above 1200 where the path is known to carry it. */
  readonly initialMtu: number;
  /** Largest UDP payload size that path MTU discovery tries; 0 turns discovery off. */
  readonly maxMtu: number;
  /**
   * UDP payload size to start with in place of a smaller `initialMtu` where the other side has a loopback address, whose
   * path is known to carry more than others; 0 for no difference. Default 32000: what a datagram costs is nearly the same
   * for any size, and of larger ones the buffer of a socket holds few. Systems whose loopback carries 16 KiB cut it up.
   */
  readonly loopbackMtu: number;
  readonly congestionControl: "cubic" | "bbr" | "new-reno";
  /** QUIC multipath and NAT traversal are offered, as iroh does. Off, there is one path and it does not move. */
  readonly multipath: boolean;
  /**
   * The other side is asked to tell where it sees our packets come from (QUIC address discovery, as iroh-relay offers it):
   * `addressObserved` is called. Default false.
   */
  readonly observeAddress: boolean;
  /** The other side is told where its packets come from, if it asks. Default false. */
  readonly tellAddress: boolean;
}

export const defaultTransportOptions: TransportOptions = {
  idleTimeoutMs: 30_000,
  keepAliveIntervalMs: 5_000,
  maxBidirectionalStreams: 1_000,
  maxUnidirectionalStreams: 100,
  streamReceiveWindow: 1_250_000,
  receiveWindow: 16_000_000,
  sendWindow: 10_000_000,
  datagramReceiveBuffer: 1_250_000,
  datagramSendBuffer: 1_048_576,
  initialMtu: 1_200,
  maxMtu: 1_452,
  loopbackMtu: 32_000,
  congestionControl: "cubic",
  multipath: true,
  observeAddress: false,
  tellAddress: false,
};

/** What protects a listening endpoint from floods of first packets. See {@link defaultIncomingLimits}. */
export interface IncomingLimits {
  /** Handshakes in progress at once; a first packet above it is refused with CONNECTION_REFUSED. */
  readonly maxHandshakes: number;
  /** Handshakes in progress from which on a client must prove its address first (Retry, RFC 9000 §8.1.2). 0: always. */
  readonly retryAbove: number;
  /** Connections at once, handshakes included; a first packet above it is refused. */
  readonly maxConnections: number;
  /** A handshake that is not done after this long is dropped. Milliseconds. */
  readonly handshakeTimeoutMs: number;
}

export const defaultIncomingLimits: IncomingLimits = {
  maxHandshakes: 1_000,
  retryAbove: 100,
  maxConnections: 20_000,
  handshakeTimeoutMs: 10_000,
};

/** One of the endpoints that share an address: each has connections of its own, and all have one identity. */
export interface Shard {
  /** 0 to 255; two that live at once have different ones. */
  readonly number: number;
  /**
   * 32 bytes, the same for all: from them come the keys of stateless resets and of address validation, and what hides the
   * number in connection ids from others. Known to them alone.
   */
  readonly secret: Uint8Array;
}

/** What {@link EngineEndpoint.ownerOf} answers where each of the shards will do: this, and more. */
export const anyShard = 256;
/** What it answers where none of them can do anything with it. */
export const noShard = -1;

export interface EngineOptions {
  /** Default: the address is not shared. */
  readonly shard?: Shard;
  readonly credentials: Credentials;
  /** ALPNs that incoming connections may choose from, most wanted first. Empty: they are refused. */
  readonly alpns: readonly string[];
  readonly transport?: Partial<TransportOptions>;
  readonly incoming?: Partial<IncomingLimits>;
  /**
   * Whether what a returning peer sends with its first packet (0-RTT) is handed out at once. `connected` is then called
   * before the handshake is done, with the identity that the remembered session was made with, and with `earlyData` set to
   * "accepted"; who answers gives the answer before the peer has shown that it is live, and `handshakeDone` tells when it
   * has. A ticket is good once, so it cannot be replayed to this endpoint. 4,096 sessions are remembered then, two for each
   * handshake, and 256 otherwise; for a day. Default false: early data waits for the end of the handshake.
   */
  readonly acceptEarlyData?: boolean;
  /** Gets NSS key log lines (SSLKEYLOGFILE format) without line ends, for decrypting captures. */
  readonly keyLog?: (line: string) => void;
  readonly platform: Platform;
  /**
   * Puts bytes on the network. `bytes` is borrowed for the time of the call. When it is longer than `segmentSize` it
   * holds several datagrams of that size, the last one possibly shorter. Must not throw. Of the engine it may call
   * `receive` alone, as a network within the process does.
   */
  readonly transmit: (to: SocketAddress, bytes: Uint8Array, segmentSize: number) => void;
  readonly handler: EndpointHandler;
  /**
   * Gets what a handler of ours has thrown. The connection concerned is closed with application code 1; the others and
   * the event loop never notice. Without this, the close is all there is to see.
   */
  readonly handlerError?: (error: unknown) => void;
}

/** A kind of engine. */
export interface Engine {
  readonly name: string;
  createEndpoint(options: EngineOptions): EngineEndpoint;
}

export interface EndpointHandler {
  /**
   * A connection was dialed by a peer; its handshake has begun. The handler sets `connection.handler` before it returns.
   * Nothing is known of the peer until `connected`.
   */
  incoming(connection: EngineConnection): void;
  /** The engine is broken beyond repair. Its connections were closed with an `engine-failed` cause just before. */
  failed(error: EngineError): void;
}

export interface EngineConnectOptions {
  readonly remote: SocketAddress;
  /** Whom we mean to reach: the handshake fails when the other side cannot prove to be that. */
  readonly expected: ExpectedIdentity;
  /** Offered protocols, most wanted first; the peer chooses one of them. */
  readonly alpns: readonly string[];
  /** Replaces the endpoint's options for this connection. */
  readonly transport?: Partial<TransportOptions>;
  /**
   * Streams and datagrams may be opened before the handshake is done, when an earlier session with the same `alpns` is
   * remembered (0-RTT), see {@link EngineConnection.early}. What is sent so can be replayed by an attacker. Default false.
   */
  readonly earlyData?: boolean;
  readonly handler: ConnectionHandler;
}

export interface EngineEndpoint {
  /** Starts a handshake. Throws {@link EngineError} when the options cannot work; network failures go to the handler. */
  connect(options: EngineConnectOptions): EngineConnection;
  /** ALPNs for connections to come; those that exist are not touched. */
  setAlpns(alpns: readonly string[]): void;
  /**
   * Shows another certificate from now on; handshakes that are done are not touched. For web credentials alone: others
   * throw {@link EngineError} "invalid-options".
   */
  setCertificate(certificate: CertifiedKey): void;
  /** Takes a datagram off the network. `bytes` is borrowed for the time of the call. Never throws. */
  receive(from: SocketAddress, bytes: Uint8Array): void;
  /**
   * Which {@link Shard} a received datagram is for, by its connection id: a number below {@link anyShard}. From there on
   * it begins a connection, which may go to any of them, but all datagrams with this answer to the same one. Never throws.
   * Missing where the engine knows no shards.
   */
  ownerOf?(datagram: Uint8Array): number;
  /** Sends what is waiting now instead of at the end of the turn. */
  flush(): void;
  stats(): EndpointStats;
  /**
   * Frees everything at once. Close connections first: the peers of those left get no CONNECTION_CLOSE. Their handlers
   * are told that they are closed, within this call. Idempotent; every other call afterwards throws.
   */
  destroy(): void;
}

export interface EndpointStats {
  /** Connections, handshakes and those that drain included. */
  readonly connections: number;
  readonly handshakes: number;
  /** Handshakes refused by a limit, and Retry packets sent, since the start. */
  readonly refused: number;
  readonly retried: number;
  /** Size of the engine's own memory in bytes (of the WebAssembly instance, where there is one). */
  readonly memoryBytes: number;
}

/** What is known when a handshake is done. */
export interface ConnectedInfo {
  readonly alpn: string;
  readonly identity: ProvenIdentity;
  /** What came of early data: not tried, taken by the peer, or refused (then the early streams never existed). */
  readonly earlyData: "none" | "accepted" | "rejected";
}

/** Why a connection ended. */
export type CloseCause =
  /** Closed by an application: `code` is its own. */
  | {
      readonly type: "application";
      readonly origin: "local" | "peer";
      readonly code: bigint;
      readonly reason: string;
    }
  /** Closed by QUIC itself (RFC 9000 §20.1); 0x1xx are TLS alerts (RFC 9001 §4.8). */
  | {
      readonly type: "transport";
      readonly origin: "local" | "peer";
      readonly code: bigint;
      readonly reason: string;
    }
  /** Nothing arrived for the idle timeout, or the handshake took too long. */
  | { readonly type: "timeout"; readonly handshaking: boolean }
  /** The peer has no memory of this connection (stateless reset, RFC 9000 §10.3). */
  | { readonly type: "reset" }
  | { readonly type: "version-mismatch" }
  /** Of streams of early data that the peer has refused: they never existed. The connection goes on without them. */
  | { readonly type: "early-data-rejected" }
  /** The engine broke; the endpoint is gone with all its connections. */
  | { readonly type: "engine-failed"; readonly reason: string };

/**
 * Calls come in this order: `connected` at most once, `closed` exactly once and last, the others between. Streams of early
 * data that was refused end before `connected`.
 */
export interface ConnectionHandler {
  /** The handshake is done and the peer's identity proven. (For a server, the peer may still find fault with us.) */
  connected(info: ConnectedInfo): void;
  /** The handshake is done now, after a `connected` that came before that; see {@link EngineOptions.acceptEarlyData}. */
  handshakeDone?(): void;
  /** The peer opened a stream. The handler sets `stream.handler` before it returns. */
  streamOpened(stream: EngineStream): void;
  /** After `openStream` returned undefined: it is worth another try. */
  streamsAvailable(direction: StreamDirection): void;
  /** A QUIC datagram (RFC 9221); the handler owns `bytes`. */
  datagram(bytes: Uint8Array): void;
  /** After `sendDatagram` returned "blocked": there is room again. */
  datagramsWritable(): void;
  /** A path was opened, validated, lost, or another one carries the data now. See `paths()`. */
  pathsChanged(): void;
  /** The server has told a client of addresses to try, or taken some back. See {@link Multipath.remoteCandidates}. */
  candidatesChanged?(): void;
  /** The other side sees our packets come from there. See {@link TransportOptions.observeAddress}. */
  addressObserved?(address: SocketAddress): void;
  closed(cause: CloseCause): void;
}

export interface EngineConnection {
  handler: ConnectionHandler;
  readonly role: Role;
  /** Where the peer's packets come from, on the path in use. */
  readonly remoteAddress: SocketAddress;
  /**
   * True as long as the handshake is not done and there is early data: what is sent now can be replayed (on the side that
   * has dialed), or what has arrived can be a replay.
   */
  readonly early: boolean;
  /** Undefined when the peer allows no more streams now: wait for `streamsAvailable`. */
  openStream(direction: StreamDirection): EngineStream | undefined;
  /** Largest datagram that can be sent now, in bytes; undefined when the peer takes none. */
  readonly maxDatagramSize: number | undefined;
  /** "blocked": the send buffer is full, wait for `datagramsWritable`. "too-large" also when the peer takes none. */
  sendDatagram(bytes: Uint8Array): "sent" | "blocked" | "too-large";
  /**
   * Ends the connection with an application code. Stream data that has not been delivered is lost; `closed` is called,
   * also here. Idempotent.
   */
  close(code: bigint, reason: string): void;
  /** Asks the peer for a sign of life: an ack-eliciting packet. */
  ping(): void;
  /** Changes `keepAliveIntervalMs` of this connection; 0 turns it off. */
  setKeepAlive(intervalMs: number): void;
  /** RFC 8446 §7.5; throws {@link EngineError} before `connected`. */
  exportKeyingMaterial(length: number, label: string, context: Uint8Array): Uint8Array;
  stats(): ConnectionStats;
  /** Those that are validated and have not been given up, in the order of their ids. */
  paths(): PathInfo[];
  /** Missing where the engine knows one path alone. */
  readonly multipath?: Multipath;
}

/** Whether a path is for data, or for the time when there is no other. */
export type PathStatus = "available" | "backup";

/**
 * The paths of a connection: draft-ietf-quic-multipath-21, and iroh's NAT traversal. Which of them exist is for the client
 * to decide; for what it sends itself, each side decides which one carries data. Everything here does nothing where the
 * other side does not know it.
 */
export interface Multipath {
  /**
   * Opens a path to `remote`, unless there is one; `pathsChanged` is called when it is validated. "later": there are too
   * many now. "unavailable": this side is the server, or the peer has no multipath.
   */
  open(remote: SocketAddress, status: PathStatus): "opened" | "later" | "unavailable";
  /** Gives a path up. False: it is the last one, or was gone. */
  close(id: number): boolean;
  setStatus(id: number, status: PathStatus): void;
  /** A path on which nothing arrives for this long is given up. Milliseconds; 0 is never. */
  setIdleTimeout(id: number, timeoutMs: number): void;
  /**
   * Has path MTU discovery try datagrams of up to `mtu` bytes of UDP payload on this path, the largest first. Nothing where
   * `maxMtu` has turned it off, and never more than the peer takes.
   */
  probeMtu(id: number, mtu: number): void;
  /** Asks for a sign of life over this path. */
  ping(id: number): void;
  /** Offers an address of ours to the peer. False: it takes no more. */
  addCandidate(address: SocketAddress): boolean;
  removeCandidate(address: SocketAddress): void;
  /** What the server has offered; undefined on the server's side, and where the peer has no NAT traversal. */
  remoteCandidates(): SocketAddress[] | undefined;
  /**
   * For a client: has both sides send to each other's addresses at once, which opens NATs; paths that come of it are
   * opened. "nothing": no addresses are known yet. "unavailable": this is the server, or the peer does not know how.
   */
  punch(): "started" | "nothing" | "unavailable";
  /**
   * The network below has changed. All paths show whether they still live; those in `dead` are replaced by new ones to the
   * same address (clients), or have to live on (servers).
   */
  networkChanged(dead: readonly number[]): void;
}

export interface ConnectionStats {
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly datagramsSent: number;
  readonly datagramsReceived: number;
  readonly packetsLost: number;
  /** Of the path in use, milliseconds. */
  readonly rttMs: number;
  readonly congestionWindow: number;
  readonly mtu: number;
  /** Written to streams, and not yet acknowledged by the peer. */
  readonly bytesUnacknowledged: number;
}

export interface PathInfo {
  readonly id: number;
  readonly remote: SocketAddress;
  /** True for the path that carries data. */
  readonly active: boolean;
  /** What this side has said of it. */
  readonly status: PathStatus;
  readonly rttMs: number;
  readonly mtu: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly packetsSent: number;
  readonly packetsLost: number;
  /** Sent over this path, and waiting for an acknowledgement now; those that only acknowledge others do not. */
  readonly packetsWaiting: number;
  /** Acknowledged, over whatever path that came. */
  readonly packetsAcknowledged: number;
}

/**
 * What has become of the receiving half.
 * "open": more may come. "finished": all was read. "reset": the peer gave up, see `resetCode`. "stopped": we did.
 * "none": a unidirectional stream of ours.
 */
export type ReceiveState = "open" | "finished" | "reset" | "stopped" | "none";

export interface StreamHandler {
  /** There is data to read, or `receiveState` has changed. Called again only after `read` has returned undefined. */
  readable(): void;
  /**
   * The peer gave up (RESET_STREAM) while data waited to be read. That data is lost, and `receiveState` is "reset".
   * Only called where `readable` is not, because the reader is behind.
   */
  resetUnread?(code: bigint): void;
  /** After `write` took less than it was given: there is room again. */
  writable(): void;
  /** The peer asked us to stop sending (STOP_SENDING). The sending half is over. */
  stopped(code: bigint): void;
  /** The peer has acknowledged everything up to the FIN that we sent. */
  acknowledged(): void;
  /** The connection ended before the stream did; no more calls. Comes before the connection's `closed`. */
  connectionClosed(cause: CloseCause): void;
}

/**
 * A stream. A half that is over gives back its credit at once; the stream is gone when both are.
 * Dropping the object does not end the stream: finish, reset and stop do.
 */
export interface EngineStream {
  handler: StreamHandler;
  readonly id: number;
  readonly direction: StreamDirection;
  readonly initiator: "local" | "peer";
  /**
   * Copies as much of `bytes` as flow control and the send window take, and returns how much that was. Less than all:
   * wait for `writable`. With `fin`, finishes the stream when all was taken. Throws {@link EngineError} when the
   * sending half is over.
   */
  write(bytes: Uint8Array, fin?: boolean): number;
  /** No more will be written. Idempotent; does nothing when the half is over. */
  finish(): void;
  /** Gives up the sending half; what was not delivered is lost. Does nothing when the half is over. */
  reset(code: bigint): void;
  /** Tells the peer that we read no further, and throws away what is there. Does nothing when the half is over. */
  stop(code: bigint): void;
  /**
   * The next bytes in order, at most `maxBytes` (default 64 KiB); the caller owns them. Undefined when nothing is there
   * now: `receiveState` says whether more can come, and `readable` will be called if so.
   */
  read(maxBytes?: number): Uint8Array | undefined;
  readonly receiveState: ReceiveState;
  /** Set when `receiveState` is "reset". */
  readonly resetCode: bigint | undefined;
  /** Streams with higher numbers send first. Default 0. */
  setPriority(priority: number): void;
}

export type EngineErrorCode =
  /** The endpoint or connection is closed. */
  | "closed"
  /** The sending half was finished, reset, or stopped by the peer. */
  | "stream-ended"
  /** The options cannot work. */
  | "invalid-options"
  /** A call that needs a finished handshake came too early. */
  | "not-connected"
  /** The engine broke. */
  | "engine-failed";

/** What an engine throws, and what `failed` gets. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  readonly code: EngineErrorCode;

  constructor(code: EngineErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
