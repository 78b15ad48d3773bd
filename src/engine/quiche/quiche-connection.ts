import type { Timer } from "../../base/platform.ts";
import type { SocketAddress } from "../../base/socket-address.ts";
import {
  type CloseCause,
  type ConnectionHandler,
  type ConnectionStats,
  type EngineConnection,
  EngineError,
  type EngineStream,
  type PathInfo,
  type Role,
  type StreamDirection,
  type TransportOptions,
} from "../engine.ts";
import { codeToNumber } from "./code.ts";
import { type NativeConnection, nativeError, type PacketInfo } from "./native.ts";
import type { ServerName } from "./options.ts";
import { splitCoalesced } from "./packet-header.ts";
import type { CertificateFault, Pins } from "./pins.ts";
import { QuicheStream, type StreamOwner } from "./quiche-stream.ts";
import { isCertificateFor } from "./server-name.ts";
import { StopBudget } from "./stop-budget.ts";

/** What a connection needs of its endpoint. */
export interface ConnectionOwner {
  /** Where datagrams are made. */
  readonly outgoing: Uint8Array;
  /** Set while a connection uses `outgoing`: `transmit` may bring datagrams, and what they cause must not. */
  isTransmitting: boolean;
  now(): number;
  unixMs(): number;
  setTimer(delayMs: number, callback: () => void): Timer;
  clearTimer(timer: Timer): void;
  /** Has `dispatch` called in the next turn, and `flush` at its end. */
  scheduleDispatch(connection: QuicheConnection): void;
  /** Has `flush` called at the end of the turn. */
  scheduleFlush(connection: QuicheConnection): void;
  /** `connection` was closed by us: its handlers are to be told in the turn. */
  closing(connection: QuicheConnection): void;
  /** The handshake is over, in whatever way. */
  settled(connection: QuicheConnection): void;
  /** Nothing more will come of it. */
  gone(connection: QuicheConnection): void;
  transmit(to: SocketAddress, bytes: Uint8Array, segmentSize: number): void;
  /** Calls a handler; what it throws is reported. */
  run(call: () => void): void;
}

export interface ConnectionStart {
  readonly role: Role;
  readonly remote: SocketAddress;
  readonly transport: TransportOptions;
  /** Of a client: the name that the certificate has to be for. */
  readonly expected?: ServerName;
  /** What the other side has to show, where quiche does not look at it. */
  readonly pins?: Pins | undefined;
  /** Milliseconds from now on. */
  readonly handshakeTimeoutMs?: number;
}

/**
 * "closing": we have closed it, and the handler is still to be told. "closed": the handler knows; quiche may still answer
 * late packets until it is gone.
 */
type State = "handshaking" | "connected" | "closing" | "closed";

/** RFC 9000 §20.1. */
const internalError = 0x1;
/** A TLS alert (RFC 8446 §6.2). */
const badCertificate = 42;
/** CRYPTO_ERROR, to which an alert is added (RFC 9001 §4.8). */
const firstCryptoError = 0x100;
/** What fits into a packet with all else, in bytes. */
const maxReason = 512;
/** Received datagrams count for this much more than they carry, so that empty ones count. */
const datagramCost = 64;
/** Datagrams at a time from a connection that is closed: quiche has one or two to send, or goes round in circles. */
const maxLastDatagrams = 16;
/** Looked at in each turn, of those that quiche has still to forget. */
const lingeringPerTurn = 16;
/** For each call of `transmit`: what quiche makes at most, and room for the last packet. */
const maxPacket = 16_383;
const maxBatch = 65_536;
/** Bytes that `ConnectionOwner.outgoing` has. */
export const outgoingLength: number = maxBatch + maxPacket;
/** quiche decrypts in place, and what comes in is borrowed. */
const received: Uint8Array = new Uint8Array(0xffff);
const nothing: Uint8Array = new Uint8Array(0);
/** The native timers are cut to whole milliseconds, and firing too early does nothing. */
const timerSlackMs = 1;

export class QuicheConnection implements EngineConnection, StreamOwner {
  handler: ConnectionHandler = unhandled;
  readonly role: Role;
  readonly native: NativeConnection;
  readonly remoteAddress: SocketAddress;
  /** Keys under which packets find this connection. */
  readonly ids: string[] = [];
  /** Set by the endpoint: it is in the endpoint's lists for this turn. */
  awaitsDispatch = false;
  awaitsFlush = false;
  /** False: the endpoint's handler has not been told of it yet. */
  isAnnounced: boolean;
  readonly #owner: ConnectionOwner;
  readonly #start: ConnectionStart;
  readonly #packetInfo: PacketInfo;
  /** All that quiche knows. */
  readonly #streams = new Map<number, QuicheStream>();
  /** Those of which something is still to be sent or acknowledged. */
  readonly #sending = new Set<QuicheStream>();
  /** Those that are over, and that quiche has still to forget. */
  readonly #lingering = new Set<QuicheStream>();
  readonly #stopBudget: StopBudget;
  readonly #awaitsStreams = { bidirectional: false, unidirectional: false };
  readonly #nextIds: { bidirectional: number; unidirectional: number };
  readonly #datagrams: Uint8Array[] = [];
  #datagramBytes = 0;
  #awaitsDatagramRoom = false;
  #state: State = "handshaking";
  #isGone = false;
  /** Set where we have ended it. */
  #cause: CloseCause | undefined;
  #receiveError = "";
  /** As they were when the connection closed. */
  #lastStats: ConnectionStats | undefined;
  #datagramsSent = 0;
  #bytesSent = 0;
  #datagramsReceived = 0;
  #bytesReceived = 0;
  /** Bytes given to quiche's streams, and how many of them are known to be acknowledged. */
  #written = 0;
  #acknowledged = 0;
  /** Something was written since the last flush. */
  #hasUnsent = false;
  #lastReceivedAt: number;
  #lastSentAt: number;
  /** Of both sides, as quiche takes it; 0 is none. */
  #idleTimeoutMs = 0;
  #timeoutsInSilence = 0;
  #keepAliveMs: number;
  readonly #handshakeDeadline: number;
  #nativeDeadline = Number.POSITIVE_INFINITY;
  #timer: Timer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(
    owner: ConnectionOwner,
    native: NativeConnection,
    packetInfo: PacketInfo,
    start: ConnectionStart,
  ) {
    this.#owner = owner;
    this.native = native;
    this.#packetInfo = packetInfo;
    this.#start = start;
    this.role = start.role;
    this.remoteAddress = start.remote;
    this.isAnnounced = start.role === "client";
    this.#stopBudget = new StopBudget(start.transport);
    this.#keepAliveMs = start.transport.keepAliveIntervalMs;
    const now = owner.now();
    this.#lastReceivedAt = now;
    this.#lastSentAt = now;
    this.#handshakeDeadline = now + (start.handshakeTimeoutMs ?? Number.POSITIVE_INFINITY);
    // RFC 9000 §2.1.
    const ours = start.role === "client" ? 0 : 1;
    this.#nextIds = { bidirectional: ours, unidirectional: ours + 2 };
  }

  /** Nothing can be done with it any more. */
  get isClosed(): boolean {
    return this.#state === "closing" || this.#state === "closed";
  }

  /** The cause given to `close`. */
  get ownCause(): CloseCause | undefined {
    return this.#cause;
  }

  /** For tests: streams that quiche has not forgotten. */
  get streamCount(): number {
    return this.#streams.size;
  }

  openStream(direction: StreamDirection): EngineStream | undefined {
    this.#checkOpen("open a stream");
    const id = this.#nextIds[direction];
    if (this.#state !== "connected" || !this.#createStream(id)) {
      this.#awaitsStreams[direction] = true;
      return undefined;
    }
    this.#nextIds[direction] = id + 4;
    const stream = new QuicheStream(this, id, "local");
    this.#streams.set(id, stream);
    this.#sending.add(stream);
    return stream;
  }

  get early(): boolean {
    return false;
  }

  get maxDatagramSize(): number | undefined {
    return this.#state === "connected"
      ? (this.native.dgramMaxWritableLen() ?? undefined)
      : undefined;
  }

  sendDatagram(bytes: Uint8Array): "sent" | "blocked" | "too-large" {
    this.#checkOpen("send a datagram");
    const limit = this.maxDatagramSize;
    if (limit === undefined || bytes.length > limit) {
      return "too-large";
    }
    this.schedule();
    if (!this.#hasDatagramRoom(bytes.length)) {
      this.#awaitsDatagramRoom = true;
      return "blocked";
    }
    this.native.dgramSend(bytes);
    return "sent";
  }

  close(code: bigint, reason: string): void {
    const number = codeToNumber(code);
    if (this.isClosed) {
      return;
    }
    // Where quiche has something of the handshake to send again, it begins to do so for ever, and never sends the close:
    // so nothing may stand before it.
    this.flush();
    this.native.close(true, number, encodeReason(reason));
    this.#hasUnsent = true;
    this.#end({ type: "application", origin: "local", code, reason });
  }

  ping(): void {
    if (this.#state === "connected") {
      this.native.sendAckEliciting();
      this.schedule();
    }
  }

  setKeepAlive(intervalMs: number): void {
    if (!this.isClosed) {
      this.#keepAliveMs = intervalMs;
      this.schedule();
    }
  }

  exportKeyingMaterial(_length: number, _label: string, _context: Uint8Array): Uint8Array {
    this.#checkOpen("export keying material");
    throw this.#state === "handshaking"
      ? new EngineError("not-connected", "cannot export keying material: not connected yet")
      : new EngineError(
          "invalid-options",
          "cannot export keying material: quiche's native module has no way to; use noq",
        );
  }

  stats(): ConnectionStats {
    return this.#lastStats ?? this.#currentStats();
  }

  paths(): PathInfo[] {
    if (this.isClosed) {
      return [];
    }
    const { rttMs, mtu, bytesSent, bytesReceived, datagramsSent, packetsLost } =
      this.#currentStats();
    return [
      {
        id: 0,
        remote: this.remoteAddress,
        active: true,
        status: "available",
        rttMs,
        mtu,
        bytesSent,
        bytesReceived,
        packetsSent: datagramsSent,
        packetsLost,
        // It does not tell, and nothing needs it where there is one path.
        packetsWaiting: 0,
        packetsAcknowledged: 0,
      },
    ];
  }

  // For its streams.

  schedule(): void {
    this.#owner.scheduleFlush(this);
  }

  sendRoom(): number {
    const { sendWindow } = this.#start.transport;
    if (this.#written - this.#acknowledged >= sendWindow) {
      // No more than the congestion window is taken before it is acknowledged.
      const least = this.#written - (this.native.pathStats()[0]?.cwnd ?? 0);
      this.#acknowledged = Math.max(this.#acknowledged, least);
    }
    return Math.max(0, sendWindow - (this.#written - this.#acknowledged));
  }

  wrote(length: number): void {
    this.#written += length;
    this.#hasUnsent = true;
  }

  pendingStop(stream: QuicheStream): bigint | undefined {
    if (!this.awaitsDispatch) {
      return undefined;
    }
    const fate = this.#fateOf(stream);
    return fate.type === "stopped" ? fate.code : undefined;
  }

  mayStop(stream: QuicheStream): boolean {
    return this.#stopBudget.take(stream);
  }

  sendingOver(stream: QuicheStream): void {
    this.#sending.delete(stream);
  }

  release(stream: QuicheStream): void {
    if (this.#streams.has(stream.id)) {
      this.#lingering.add(stream);
    }
  }

  // For its endpoint.

  /** Takes a datagram, which is borrowed. Handlers are told in the turn. */
  receive(datagram: Uint8Array): void {
    if (this.#isGone) {
      return;
    }
    if (this.#hasUnsent && !this.#owner.isTransmitting) {
      // The peer may have stopped a stream, which quiche then forgets only when all of it was sent once. And a close goes
      // before what may have to be sent again.
      this.flush();
    }
    this.#lastReceivedAt = this.#owner.now();
    this.#datagramsReceived += 1;
    this.#bytesReceived += datagram.length;
    this.#timeoutsInSilence = 0;
    received.set(datagram);
    const bytes = received.subarray(0, datagram.length);
    const isLong = (datagram[0] ?? 0) >= 0x80;
    for (const packet of isLong ? splitCoalesced(bytes) : [bytes]) {
      try {
        this.native.recv(packet, this.#packetInfo);
      } catch (error) {
        this.#receiveError = nativeError(error).name;
      }
    }
    this.#takeDatagrams();
    this.#owner.scheduleDispatch(this);
  }

  /** True when quiche has found nothing in what came that could become a connection. */
  get isStillborn(): boolean {
    return this.#receiveError !== "" && this.native.isClosed();
  }

  /** Hands what has happened to the handlers it concerns. They may throw. */
  dispatch(): void {
    if (!this.isClosed) {
      this.#dispatchEvents();
    }
    if (!this.isClosed && this.#isOverForNative()) {
      this.finish(this.#nativeCause());
    }
    this.#lookWhetherGone();
    this.schedule();
  }

  /** Sends what is waiting, and sets the timer. */
  flush(): void {
    if (this.#isGone) {
      return;
    }
    this.#transmit();
    this.#hasUnsent = false;
    if (!this.isClosed && (this.#isOverForNative() || this.#datagramRoomIsNews())) {
      this.#owner.scheduleDispatch(this);
    }
    this.#lookWhetherGone();
    this.#arm();
  }

  /** Ends the connection for its handlers: each stream's, then its own. */
  finish(cause: CloseCause): void {
    if (this.#state === "closed") {
      return;
    }
    this.#leave("closed");
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    this.#sending.clear();
    this.#lingering.clear();
    for (const stream of streams) {
      if (!stream.isOver) {
        this.#owner.run(() => stream.onConnectionClosed(cause));
      }
    }
    this.#owner.run(() => this.handler.closed(cause));
  }

  /** Nothing is sent or received any more. */
  abandon(): void {
    this.#isGone = true;
    this.#disarm();
  }

  #dispatchEvents(): void {
    if (this.#state === "handshaking" && this.native.isEstablished()) {
      this.#onEstablished();
    }
    if (this.#isConnected()) {
      this.#dispatchDatagrams();
    }
    // In this order, because quiche may forget a stream that was stopped when it is read.
    if (this.#isConnected()) {
      this.#dispatchSending();
    }
    if (this.#isConnected()) {
      this.#dispatchReadable();
    }
    if (this.#isConnected()) {
      this.#dispatchAvailable("bidirectional");
    }
    if (this.#isConnected()) {
      this.#dispatchAvailable("unidirectional");
    }
    if (this.#isConnected() && this.#datagramRoomIsNews()) {
      this.#awaitsDatagramRoom = false;
      this.handler.datagramsWritable();
    }
    if (this.#isConnected()) {
      this.#forgetStreams();
    }
  }

  #onEstablished(): void {
    this.#owner.settled(this);
    const chain = this.native.peerCertChain() ?? [];
    const fault = this.#certificateFault(chain);
    if (fault !== undefined) {
      const { reason } = fault;
      const code = firstCryptoError + fault.alert;
      // The other side understands a close when it has the end of the handshake.
      this.flush();
      this.native.close(false, code, encodeReason(reason));
      this.#end({ type: "transport", origin: "local", code: BigInt(code), reason });
      return;
    }
    const peerIdleMs = this.native.stats().peerMaxIdleTimeout;
    const idleMs = [this.#start.transport.idleTimeoutMs, peerIdleMs].filter((ms) => ms > 0);
    this.#idleTimeoutMs = idleMs.length === 0 ? 0 : Math.min(...idleMs);
    this.#state = "connected";
    this.handler.connected({
      alpn: new TextDecoder().decode(this.native.applicationProto()),
      identity: { type: "web", chain },
      earlyData: "none",
    });
  }

  /** What quiche has not seen of it. */
  #certificateFault(chain: readonly Uint8Array[]): CertificateFault | undefined {
    const { expected, pins } = this.#start;
    const fault = pins?.fault(chain, this.#owner.unixMs());
    if (fault !== undefined || expected === undefined) {
      return fault;
    }
    return chain[0] !== undefined && isCertificateFor(chain[0], expected)
      ? undefined
      : { alert: badCertificate, reason: "the certificate is for another name" };
  }

  #takeDatagrams(): void {
    const { datagramReceiveBuffer } = this.#start.transport;
    while (this.native.dgramRecvQueueLen() > 0) {
      const bytes = this.native.dgramRecvVec();
      if (bytes === null) {
        return;
      }
      this.#datagrams.push(bytes);
      this.#datagramBytes += bytes.length + datagramCost;
      while (this.#datagramBytes > datagramReceiveBuffer) {
        this.#datagramBytes -= (this.#datagrams.shift()?.length ?? 0) + datagramCost;
      }
    }
  }

  #dispatchDatagrams(): void {
    const datagrams = this.#datagrams.splice(0);
    this.#datagramBytes = 0;
    for (const bytes of datagrams) {
      if (!this.#isConnected()) {
        return;
      }
      this.handler.datagram(bytes);
    }
  }

  #dispatchReadable(): void {
    if (!this.native.isReadable()) {
      return;
    }
    const opened: number[] = [];
    for (const id of this.native.readable()) {
      const stream = this.#streams.get(id);
      if (stream === undefined) {
        opened.push(id);
      } else {
        stream.onReadable();
      }
      if (!this.#isConnected()) {
        return;
      }
    }
    // quiche names them by priority.
    for (const id of opened.sort((a, b) => a - b)) {
      this.#open(id);
      if (!this.#isConnected()) {
        return;
      }
    }
  }

  #open(id: number): void {
    const stream = new QuicheStream(this, id, "peer");
    this.#streams.set(id, stream);
    if (stream.direction === "bidirectional") {
      this.#sending.add(stream);
    }
    this.handler.streamOpened(stream);
    if (this.#isConnected() && this.#sending.has(stream)) {
      const fate = this.#fateOf(stream);
      if (fate.type === "stopped") {
        stream.onStopped(fate.code);
      }
    }
    if (this.#isConnected()) {
      stream.onReadable();
    }
  }

  /** Asks quiche for each stream, because its own list leaves those out that were stopped while nothing can be sent. */
  #dispatchSending(): void {
    const isQuiet = this.#sending.size > 0 && this.#isAllAcknowledged();
    if (isQuiet) {
      this.#acknowledged = this.#written;
    }
    for (const stream of this.#sending) {
      if (!this.#isConnected()) {
        return;
      }
      const fate = this.#fateOf(stream);
      if (fate.type === "stopped") {
        stream.onStopped(fate.code);
      } else if (fate.type === "forgotten") {
        this.#forget(stream);
        stream.onForgotten();
      } else if (isQuiet && stream.awaitsAcknowledgement) {
        stream.onAcknowledged();
      } else if (fate.capacity > 0 && this.sendRoom() > 0) {
        stream.onWritable();
      }
    }
  }

  #dispatchAvailable(direction: StreamDirection): void {
    if (!this.#awaitsStreams[direction]) {
      return;
    }
    const left =
      direction === "bidirectional"
        ? this.native.peerStreamsLeftBidi()
        : this.native.peerStreamsLeftUni();
    if (left > 0) {
      this.#awaitsStreams[direction] = false;
      this.handler.streamsAvailable(direction);
    }
  }

  #forgetStreams(): void {
    let looked = 0;
    for (const stream of this.#lingering) {
      if (looked >= lingeringPerTurn) {
        return;
      }
      looked += 1;
      this.#lingering.delete(stream);
      stream.readResetAgain();
      if (this.#fateOf(stream).type === "forgotten") {
        this.#forget(stream);
      } else {
        // To the end: the others have their turn.
        this.#lingering.add(stream);
      }
    }
  }

  #forget(stream: QuicheStream): void {
    this.#streams.delete(stream.id);
    this.#lingering.delete(stream);
    this.#stopBudget.giveBack(stream);
  }

  #fateOf(stream: QuicheStream): StreamFate {
    try {
      return { type: "known", capacity: this.native.streamCapacity(stream.id) };
    } catch (error) {
      const { name, number } = nativeError(error);
      return name === "StreamStopped" ? { type: "stopped", code: number } : { type: "forgotten" };
    }
  }

  /**
   * quiche does not tell what was acknowledged, but it runs a timer while anything is not. So everything is when the next
   * timer is that of the idle timeout, which we know: it is as long as when the last packet came.
   */
  #isAllAcknowledged(): boolean {
    if (this.#hasUnsent || this.#timeoutsInSilence > 1) {
      return false;
    }
    const timeoutMs = this.native.timeout();
    if (timeoutMs === null || this.#idleTimeoutMs === 0) {
      return timeoutMs === null;
    }
    const sinceReceivedMs = this.#owner.now() - this.#lastReceivedAt;
    return timeoutMs >= this.#idleTimeoutMs - sinceReceivedMs - 2 * timerSlackMs;
  }

  #createStream(id: number): boolean {
    try {
      this.native.streamSend(id, nothing, false);
      return true;
    } catch {
      // The peer allows no more.
      return false;
    }
  }

  #hasDatagramRoom(length: number): boolean {
    const queued = this.native.dgramSendQueueByteSize();
    return queued + length <= this.#start.transport.datagramSendBuffer;
  }

  #datagramRoomIsNews(): boolean {
    return this.#awaitsDatagramRoom && this.#hasDatagramRoom(this.maxDatagramSize ?? 0);
  }

  #isOverForNative(): boolean {
    return this.native.isClosed() || this.native.isDraining() || this.native.localError() !== null;
  }

  #nativeCause(): CloseCause {
    if (this.#receiveError === "UnknownVersion") {
      return { type: "version-mismatch" };
    }
    const peer = this.native.peerError();
    if (peer !== null) {
      return {
        type: peer.isApp ? "application" : "transport",
        origin: "peer",
        code: BigInt(peer.errorCode),
        reason: new TextDecoder().decode(peer.reason),
      };
    }
    if (this.native.isTimedOut()) {
      return { type: "timeout", handshaking: this.#state === "handshaking" };
    }
    const local = this.native.localError();
    if (local !== null) {
      const reason = new TextDecoder().decode(local.reason) || this.#receiveError;
      return { type: "transport", origin: "local", code: BigInt(local.errorCode), reason };
    }
    return { type: "reset" };
  }

  /** Ended by us. The handlers are told in the turn. */
  #end(cause: CloseCause): void {
    this.#cause = cause;
    this.#leave("closing");
    this.#owner.closing(this);
    this.schedule();
  }

  #leave(state: "closing" | "closed"): void {
    if (!this.isClosed) {
      this.#lastStats = this.#currentStats();
      this.#owner.settled(this);
    }
    this.#state = state;
  }

  #disappear(): void {
    this.abandon();
    this.#owner.gone(this);
  }

  #lookWhetherGone(): void {
    if (!this.#isGone && this.#state === "closed" && this.native.isClosed()) {
      this.#disappear();
    }
  }

  /** Datagrams of one size go together. */
  #transmit(): void {
    const { outgoing } = this.#owner;
    let length = 0;
    let segmentSize = 0;
    const emit = (): void => {
      if (length > 0) {
        this.#owner.transmit(this.remoteAddress, outgoing.subarray(0, length), segmentSize);
        length = 0;
        segmentSize = 0;
      }
    };
    const limit = this.isClosed ? maxLastDatagrams : Number.POSITIVE_INFINITY;
    let made = 0;
    this.#owner.isTransmitting = true;
    for (let size = this.#make(length); size > 0; size = this.#make(length)) {
      made += 1;
      if (made > limit) {
        this.#disappear();
        break;
      }
      this.#datagramsSent += 1;
      this.#bytesSent += size;
      this.#lastSentAt = this.#owner.now();
      if (segmentSize > 0 && size > segmentSize) {
        const start = length;
        emit();
        outgoing.copyWithin(0, start, start + size);
      }
      segmentSize ||= size;
      length += size;
      if (size < segmentSize || length > maxBatch) {
        emit();
      }
    }
    emit();
    this.#owner.isTransmitting = false;
  }

  /** Has quiche write a datagram, and returns its length. */
  #make(offset: number): number {
    const { outgoing } = this.#owner;
    try {
      return this.native.send(offset === 0 ? outgoing : outgoing.subarray(offset))?.[0] ?? 0;
    } catch {
      // That is the end of the connection, and this makes quiche say so.
      this.native.close(false, internalError, nothing);
      return 0;
    }
  }

  /** A timer that fires too early is left alone: setting one anew in each turn costs more than a turn for nothing. */
  #arm(): void {
    if (this.#isGone) {
      return;
    }
    const now = this.#owner.now();
    const timeoutMs = this.native.timeout();
    this.#nativeDeadline =
      timeoutMs === null ? Number.POSITIVE_INFINITY : now + timeoutMs + timerSlackMs;
    const deadline = Math.min(this.#nativeDeadline, this.#ownDeadline());
    if (deadline < this.#timerAt && deadline < Number.POSITIVE_INFINITY) {
      this.#disarm();
      this.#timer = this.#owner.setTimer(Math.max(0, deadline - now), this.#timedOut);
      this.#timerAt = deadline;
    }
  }

  #disarm(): void {
    if (this.#timer !== undefined) {
      this.#owner.clearTimer(this.#timer);
    }
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  #ownDeadline(): number {
    switch (this.#state) {
      case "handshaking":
        return this.#handshakeDeadline;
      case "connected":
        return this.#keepAliveMs > 0
          ? this.#lastSentAt + this.#keepAliveMs
          : Number.POSITIVE_INFINITY;
      case "closing":
      case "closed":
        return Number.POSITIVE_INFINITY;
    }
  }

  readonly #timedOut = (): void => {
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
    const now = this.#owner.now();
    const isDue = now >= this.#nativeDeadline;
    if (!isDue && now < this.#ownDeadline()) {
      this.#arm();
      return;
    }
    if (this.isClosed && this.#hasUnsent) {
      this.flush();
    }
    if (isDue) {
      this.#timeoutsInSilence += 1;
      this.native.onTimeout();
    }
    if (now >= this.#ownDeadline()) {
      if (this.#state === "handshaking") {
        this.#end({ type: "timeout", handshaking: true });
        this.#disappear();
        return;
      }
      this.native.sendAckEliciting();
    }
    this.#owner.scheduleDispatch(this);
  };

  #checkOpen(action: string): void {
    if (this.isClosed) {
      throw new EngineError("closed", `cannot ${action}: the connection is closed`);
    }
  }

  /** A method, because a handler may have changed the state since the compiler last looked. */
  #isConnected(): boolean {
    return this.#state === "connected";
  }

  #currentStats(): ConnectionStats {
    const path = this.native.pathStats()[0];
    const congestionWindow = path?.cwnd ?? 0;
    const unacknowledged = this.#isAllAcknowledged() ? 0 : this.#written - this.#acknowledged;
    return {
      bytesSent: this.#bytesSent,
      bytesReceived: this.#bytesReceived,
      datagramsSent: this.#datagramsSent,
      datagramsReceived: this.#datagramsReceived,
      packetsLost: this.native.stats().lost,
      rttMs: path?.rtt ?? 0,
      congestionWindow,
      mtu: Math.min(path?.pmtu ?? 0, maxPacket),
      bytesUnacknowledged: Math.min(unacknowledged, congestionWindow),
    };
  }
}

/** What quiche knows of a stream: what it takes now, or why nothing. */
type StreamFate =
  | { readonly type: "known"; readonly capacity: number }
  | { readonly type: "stopped"; readonly code: bigint }
  | { readonly type: "forgotten" };

/** UTF-8, cut between characters. */
function encodeReason(reason: string): Uint8Array {
  const into = new Uint8Array(maxReason);
  return into.subarray(0, new TextEncoder().encodeInto(reason, into).written);
}

const unhandled: ConnectionHandler = {
  connected: () => {},
  streamOpened: () => {},
  streamsAvailable: () => {},
  datagram: () => {},
  datagramsWritable: () => {},
  pathsChanged: () => {},
  closed: () => {},
};
