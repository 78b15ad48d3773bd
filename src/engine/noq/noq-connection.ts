import type { AddressBook } from "../../base/address-book.ts";
import { NumberMap } from "../../base/number-map.ts";
import type { SocketAddress } from "../../base/socket-address.ts";
import {
  type CloseCause,
  type ConnectedInfo,
  type ConnectionHandler,
  type ConnectionStats,
  type Credentials,
  type EngineConnection,
  EngineError,
  type EngineStream,
  type Multipath,
  type PathInfo,
  type ProvenIdentity,
  type Role,
  type StreamDirection,
} from "../engine.ts";
import { checkedCode } from "./code.ts";
import { blocked, type Core, maxChunk, notFound } from "./core.ts";
import { type EventBatch, eventKind } from "./events.ts";
import { NoqMultipath } from "./noq-multipath.ts";
import { closedError, NoqStream, type StreamOwner } from "./noq-stream.ts";

/** What a connection needs of its endpoint. */
export interface ConnectionOwner {
  readonly core: Core;
  readonly addresses: AddressBook;
  now(): number;
  schedule(): void;
  wrote(): void;
  /** `connection` was closed by us: its `finishClose` is called in the turn. */
  closing(connection: NoqConnection): void;
}

/** "closing": we have closed it, and the handler is still to be told. */
type State = "handshaking" | "connected" | "closing" | "closed";

const pathRecordLength = 96;
/** Flags of a path. */
const activeFlag = 1;
const backupFlag = 2;

export class NoqConnection implements EngineConnection, StreamOwner {
  handler: ConnectionHandler = unhandled;
  readonly role: Role;
  readonly core: Core;
  /** The core's name for this connection. */
  readonly handle: number;
  readonly #owner: ConnectionOwner;
  readonly #credentials: Credentials["type"];
  readonly #streams = new NumberMap<NoqStream>();
  readonly #awaitsStreams = { bidirectional: false, unidirectional: false };
  readonly multipath: Multipath;
  #state: State = "handshaking";
  /** Set by `close`. */
  #cause: CloseCause | undefined;
  #remote: SocketAddress;
  /** As they were when the connection closed. */
  #lastStats: ConnectionStats | undefined;

  constructor(
    owner: ConnectionOwner,
    handle: number,
    role: Role,
    credentials: Credentials["type"],
    remote?: SocketAddress,
  ) {
    this.#owner = owner;
    this.#credentials = credentials;
    this.core = owner.core;
    this.handle = handle;
    this.role = role;
    this.multipath = new NoqMultipath(this, owner);
    this.#remote = remote ?? this.#activeRemote() ?? unknownAddress;
  }

  /** Nothing can be done with it any more. True as well from a panic of the core on, though nobody has been told yet. */
  get isClosed(): boolean {
    return this.#state === "closing" || this.#state === "closed" || this.core.failure !== undefined;
  }

  get remoteAddress(): SocketAddress {
    if (!this.isClosed) {
      this.#remote = this.#activeRemote() ?? this.#remote;
    }
    return this.#remote;
  }

  get early(): boolean {
    return !this.isClosed && this.core.call.connection_early(this.handle) === 1;
  }

  openStream(direction: StreamDirection): EngineStream | undefined {
    this.#checkOpen("open a stream");
    const id = this.core.call.stream_open(this.handle, direction === "unidirectional" ? 1 : 0);
    if (id < 0) {
      this.#awaitsStreams[direction] = true;
      // The peer learns that we would like more (STREAMS_BLOCKED).
      this.schedule();
      return undefined;
    }
    const stream = new NoqStream(this, id, "local");
    this.#streams.set(id, stream);
    return stream;
  }

  get maxDatagramSize(): number | undefined {
    const size = this.isClosed ? notFound : this.core.call.datagram_max_size(this.handle);
    return size === notFound ? undefined : size;
  }

  sendDatagram(bytes: Uint8Array): "sent" | "blocked" | "too-large" {
    this.#checkOpen("send a datagram");
    if (bytes.length > maxChunk) {
      return "too-large";
    }
    const result = this.core.call.datagram_send(this.handle, this.core.put(bytes));
    this.schedule();
    if (result === 0) {
      return "sent";
    }
    return result === blocked ? "blocked" : "too-large";
  }

  close(code: bigint, reason: string): void {
    checkedCode(code);
    if (this.isClosed) {
      return;
    }
    const length = this.core.put(new TextEncoder().encode(reason).subarray(0, maxChunk));
    this.core.call.connection_close(this.#owner.now(), this.handle, code, length);
    this.#cause = { type: "application", origin: "local", code, reason };
    this.#leave("closing");
    this.#owner.closing(this);
    this.schedule();
  }

  ping(): void {
    if (!this.isClosed) {
      this.core.call.connection_ping(this.handle);
      this.schedule();
    }
  }

  setKeepAlive(intervalMs: number): void {
    if (!this.isClosed) {
      this.core.call.connection_set_keep_alive(this.#owner.now(), this.handle, intervalMs);
      this.schedule();
    }
  }

  exportKeyingMaterial(length: number, label: string, context: Uint8Array): Uint8Array {
    this.#checkOpen("export keying material");
    const labelBytes = new TextEncoder().encode(label);
    const needed = Math.max(length, labelBytes.length + context.length);
    if (!Number.isInteger(length) || length < 1 || needed > maxChunk) {
      throw new RangeError(`cannot export ${length} bytes of keying material: limit ${maxChunk}`);
    }
    const { core, handle } = this;
    core.bytes.set(labelBytes, core.scratch);
    core.bytes.set(context, core.scratch + labelBytes.length);
    const result = core.call.connection_export(handle, length, labelBytes.length, context.length);
    if (result === notFound) {
      throw new EngineError("not-connected", "cannot export keying material: not connected yet");
    }
    if (result !== 0) {
      throw new RangeError(`cannot export ${length} bytes of keying material: TLS has a limit`);
    }
    // Secrets get memory of their own.
    return core.bytes.slice(core.scratch, core.scratch + length);
  }

  stats(): ConnectionStats {
    return this.#lastStats ?? (this.isClosed ? undefined : this.#currentStats()) ?? noStats;
  }

  paths(): PathInfo[] {
    const start = this.isClosed ? 0 : this.core.call.connection_paths(this.handle);
    if (start === 0) {
      return [];
    }
    const { view, bytes } = this.core;
    return Array.from({ length: view.getUint32(start, true) }, (_, index): PathInfo => {
      const at = start + 8 + index * pathRecordLength;
      const flags = view.getUint32(at + 4, true);
      return {
        id: view.getUint32(at, true),
        remote: this.#owner.addresses.decode(bytes, at + 72),
        active: (flags & activeFlag) !== 0,
        status: (flags & backupFlag) !== 0 ? "backup" : "available",
        rttMs: view.getFloat64(at + 8, true),
        mtu: view.getFloat64(at + 16, true),
        bytesSent: view.getFloat64(at + 24, true),
        bytesReceived: view.getFloat64(at + 32, true),
        packetsSent: view.getFloat64(at + 40, true),
        packetsLost: view.getFloat64(at + 48, true),
        packetsWaiting: view.getFloat64(at + 56, true),
        packetsAcknowledged: view.getFloat64(at + 64, true),
      };
    });
  }

  schedule(): void {
    this.#owner.schedule();
  }

  wrote(): void {
    this.#owner.wrote();
  }

  release(stream: NoqStream): void {
    this.#streams.delete(stream.id);
  }

  /** Hands one event to the handlers it concerns. They may throw. */
  dispatch(event: EventBatch): void {
    if (this.isClosed) {
      return;
    }
    switch (event.kind) {
      case eventKind.streamReadable:
        this.#streams.get(event.number)?.onReadable();
        break;
      case eventKind.streamOpened:
        this.#onStreamOpened(event.number);
        break;
      case eventKind.streamWritable:
        this.#streams.get(event.number)?.onWritable();
        break;
      case eventKind.streamAcknowledged:
        this.#streams.get(event.number)?.onAcknowledged();
        break;
      case eventKind.streamStopped:
        this.#streams.get(event.number)?.onStopped(event.code());
        break;
      case eventKind.streamsAvailable:
        this.#onStreamsAvailable(event.number === 0 ? "bidirectional" : "unidirectional");
        break;
      case eventKind.datagram:
        this.handler.datagram(event.payload());
        break;
      case eventKind.datagramsWritable:
        this.handler.datagramsWritable();
        break;
      case eventKind.pathsChanged:
        this.handler.pathsChanged();
        break;
      case eventKind.candidatesChanged:
        this.handler.candidatesChanged?.();
        break;
      case eventKind.addressObserved:
        this.handler.addressObserved?.(this.#owner.addresses.decode(event.payload(), 0));
        break;
      case eventKind.connected:
        this.#onConnected(event);
        break;
      case eventKind.handshakeDone:
        this.handler.handshakeDone?.();
        break;
    }
  }

  /** What a `closed` event says, or undefined when the connection was closed by us before. */
  closeCause(event: EventBatch): CloseCause | undefined {
    return this.isClosed ? undefined : causeOf(event);
  }

  /** The cause given to `close`. */
  get ownCause(): CloseCause | undefined {
    return this.#cause;
  }

  /**
   * Ends the connection for its handlers: each stream's, then its own. `run` calls one of them, and deals with what it
   * throws.
   */
  finish(cause: CloseCause, run: (call: () => void) => void): void {
    if (this.#state === "closed") {
      return;
    }
    this.#leave("closed");
    for (const stream of this.#streams.values()) {
      run(() => stream.onConnectionClosed(cause));
    }
    this.#streams.clear();
    run(() => this.handler.closed(cause));
  }

  #leave(state: "closing" | "closed"): void {
    if (!this.isClosed) {
      this.#remote = this.#activeRemote() ?? this.#remote;
      this.#lastStats = this.#currentStats();
    }
    this.#state = state;
  }

  #onConnected(event: EventBatch): void {
    const alpnEnd = 1 + event.byte(0);
    const info: ConnectedInfo = {
      alpn: new TextDecoder().decode(event.payload(1, alpnEnd)),
      identity: provenIdentity(this.#credentials, event.list(alpnEnd)),
      earlyData: earlyDataOutcomes[event.number] ?? "none",
    };
    if (info.earlyData === "rejected") {
      const abandoned = this.#streams.values();
      this.#streams.clear();
      for (const stream of abandoned) {
        stream.abandon();
      }
    }
    this.#state = "connected";
    this.handler.connected(info);
    this.#onStreamsAvailable("bidirectional");
    this.#onStreamsAvailable("unidirectional");
  }

  #onStreamOpened(id: number): void {
    const stream = new NoqStream(this, id, "peer");
    this.#streams.set(id, stream);
    this.handler.streamOpened(stream);
    // A stream comes into being by something that can be read; the core does not say so again.
    stream.onReadable();
  }

  #onStreamsAvailable(direction: StreamDirection): void {
    if (this.#awaitsStreams[direction] && this.#state === "connected") {
      this.#awaitsStreams[direction] = false;
      this.handler.streamsAvailable(direction);
    }
  }

  #checkOpen(action: string): void {
    if (this.isClosed) {
      throw closedError(action, this.core);
    }
  }

  #activeRemote(): SocketAddress | undefined {
    return this.paths().find((path) => path.active)?.remote;
  }

  #currentStats(): ConnectionStats | undefined {
    const at = this.core.call.connection_stats(this.handle);
    if (at === 0) {
      return undefined;
    }
    const { view } = this.core;
    return {
      bytesSent: view.getFloat64(at, true),
      bytesReceived: view.getFloat64(at + 8, true),
      datagramsSent: view.getFloat64(at + 16, true),
      datagramsReceived: view.getFloat64(at + 24, true),
      packetsLost: view.getFloat64(at + 32, true),
      rttMs: view.getFloat64(at + 40, true),
      congestionWindow: view.getFloat64(at + 48, true),
      mtu: view.getFloat64(at + 56, true),
      bytesUnacknowledged: view.getFloat64(at + 64, true),
    };
  }
}

function provenIdentity(type: Credentials["type"], entries: Uint8Array[]): ProvenIdentity {
  if (type === "web") {
    return { type, chain: entries };
  }
  const [publicKey] = entries;
  if (publicKey === undefined) {
    throw new EngineError("engine-failed", "the QUIC core let a peer in that has no key");
  }
  return { type, publicKey };
}

const earlyDataOutcomes = ["none", "accepted", "rejected"] as const;

/** The numbers are those of `EndKind` in crates/quic-core/src/events.rs. */
function causeOf(event: EventBatch): CloseCause {
  const code = event.code();
  const reason = new TextDecoder().decode(event.payload(8));
  switch (event.number) {
    case 0:
      return { type: "application", origin: "peer", code, reason };
    case 1:
      return { type: "transport", origin: "local", code, reason: explained(reason) };
    case 2:
      return { type: "transport", origin: "peer", code, reason };
    case 3:
      return { type: "timeout", handshaking: false };
    case 4:
      return { type: "timeout", handshaking: true };
    case 5:
      return { type: "reset" };
    default:
      return { type: "version-mismatch" };
  }
}

/** What rustls calls by the names of its types, and people meet often. */
function explained(reason: string): string {
  return reason.includes("CaUsedAsEndEntity")
    ? "it is the certificate of an authority, as `openssl req -x509` makes them; servers need one with basicConstraints=CA:FALSE"
    : reason;
}

const unknownAddress: SocketAddress = { family: 6, host: "::", port: 0 };

const noStats: ConnectionStats = {
  bytesSent: 0,
  bytesReceived: 0,
  datagramsSent: 0,
  datagramsReceived: 0,
  packetsLost: 0,
  rttMs: 0,
  congestionWindow: 0,
  mtu: 0,
  bytesUnacknowledged: 0,
};

const unhandled: ConnectionHandler = {
  connected: () => {},
  streamOpened: () => {},
  streamsAvailable: () => {},
  datagram: () => {},
  datagramsWritable: () => {},
  pathsChanged: () => {},
  closed: () => {},
};
