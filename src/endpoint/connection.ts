import { AsyncQueue } from "../base/async-queue.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import type { Platform } from "../base/platform.ts";
import { Signal } from "../base/signal.ts";
import type {
  CloseCause,
  ConnectedInfo,
  ConnectionHandler,
  ConnectionStats,
  EngineConnection,
  EngineStream,
  Role,
  StreamDirection,
  StreamHandler,
  TransportOptions,
} from "../engine/engine.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { TransportAddr } from "../identity/transport-addr.ts";
import { callEngine } from "./call-engine.ts";
import { DatagramQueue } from "./datagram-queue.ts";
import { closeCode, connectionLost, EndpointError } from "./endpoint-error.ts";
import { HandedOverConnection } from "./handed-over-connection.ts";
import type { AttachedPaths } from "./peer-network.ts";
import { PendingStream } from "./pending-stream.ts";
import type { ProcessHold } from "./process-hold.ts";
import { ReceiveStream } from "./receive-stream.ts";
import { type ConnectionPath, connectionPathsOf } from "./remote-info.ts";
import { SendStream } from "./send-stream.ts";

/** Both halves of a bidirectional stream. */
export interface BiStream {
  readonly send: SendStream;
  readonly receive: ReceiveStream;
}

export interface CloseOptions {
  /** Application error code that the peer sees. Default 0. */
  readonly code?: bigint;
  /** Text that the peer sees. Default empty. */
  readonly reason?: string;
  /**
   * How long to wait for what is under way: what was written to be acknowledged, RPC calls to end. Milliseconds, default
   * 3000; 0 closes at once.
   */
  readonly timeoutMs?: number;
}

/** How often a closing connection asks whether what was written has arrived. */
const arrivalPollMs = 5;

/** Shuts a protocol down that works on the engine's level, and with it the connection. */
export type Shutdown = (options: { readonly timeoutMs: number }) => Promise<void>;

/** What a connection that is made before its handshake is done tells its maker. */
export interface HandshakeObserver {
  /** For the side that has dialed: it is done, and early data was taken or not. */
  connected(info: ConnectedInfo): void;
  /** For the other side: it is done. */
  done(): void;
  /** It ended before that. */
  closed(cause: CloseCause): void;
}

/**
 * A connection to a peer whose key is proven. Streams are made and taken in any number by both sides.
 *
 * An open connection does not keep the process alive; whatever is awaited on it does.
 */
export class Connection implements AsyncDisposable {
  /** Who is at the other end. */
  readonly remoteId: EndpointId;
  /** The protocol that both sides agreed on. */
  readonly alpn: string;
  /** "client" for the side that dialed. */
  readonly role: Role;
  /** Resolves when the connection is over, whatever the cause; never rejects. Keeps no process alive by itself. */
  readonly closed: Promise<CloseCause>;

  readonly #engine: EngineConnection;
  readonly #platform: Platform;
  readonly #hold: ProcessHold;
  readonly #closed: Deferred<CloseCause> = deferred();
  readonly #incoming: Record<StreamDirection, AsyncQueue<PendingStream>> = {
    bidirectional: new AsyncQueue(),
    unidirectional: new AsyncQueue(),
  };
  readonly #streamsAvailable = new Signal();
  readonly #datagrams: DatagramQueue;
  readonly #datagramsWritable = new Signal();
  readonly #paths: AttachedPaths;
  #pathListeners: Set<() => void> | undefined;
  /** Streams that may hold data which the peer has not acknowledged. */
  #sending: Set<SendStream> | undefined;
  readonly #handler: ConnectionHandler;
  /** As long as the handshake is not done. */
  #handshake: HandshakeObserver | undefined;
  readonly #handshakeDone: Deferred<boolean> | undefined;
  #cause: CloseCause | undefined;
  #closing: Promise<void> | undefined;
  /** Set while closing waits: ends that. */
  #timeUp: Deferred<void> | undefined;
  /** How this side has closed it, from before the engine says so. */
  #closedHere: CloseCause | undefined;
  #successor: HandedOverConnection | undefined;
  #shutdown: Shutdown | undefined;

  /** @internal Takes over the engine's connection, which has just been `connected`, or has yet to be: then with `handshake`. */
  constructor(
    engine: EngineConnection,
    info: { readonly remoteId: EndpointId; readonly alpn: string },
    context: {
      readonly platform: Platform;
      readonly hold: ProcessHold;
      readonly datagramReceiveBuffer: number;
      readonly paths: AttachedPaths;
      readonly handshake?: HandshakeObserver | undefined;
    },
  ) {
    this.#engine = engine;
    this.remoteId = info.remoteId;
    this.alpn = info.alpn;
    this.role = engine.role;
    this.#platform = context.platform;
    this.#hold = context.hold;
    this.#paths = context.paths;
    this.#datagrams = new DatagramQueue(context.datagramReceiveBuffer);
    this.#handshake = context.handshake;
    this.#handshakeDone = context.handshake === undefined ? undefined : deferred();
    this.closed = this.#closed.promise;
    this.#handler = new Connection.#Events(this);
    engine.handler = this.#handler;
  }

  /** Where the peer's packets come from now: an IP address, or a relay. */
  get remoteAddress(): TransportAddr {
    return this.#paths.transportAddrOf(this.#engine.remoteAddress);
  }

  /**
   * True as long as the handshake is not done, on a connection that was made before that, for early data (0-RTT). On the
   * side that has dialed, others can record what is sent now, and send it again; on the other side, what has arrived can be
   * such a replay, or late: the peer's key is proven by the session that it resumes, but not that the peer is there.
   */
  get early(): boolean {
    return this.#handshake !== undefined;
  }

  /** Resolves with true when the connection is not {@link early} any more, and with false when it ends before. */
  get handshakeDone(): Promise<boolean> {
    return this.#handshakeDone?.promise ?? done;
  }

  /** The handshake is done. @internal */
  confirm(): void {
    this.#handshake = undefined;
    this.#handshakeDone?.resolve(true);
  }

  /** Ends this, as nothing but early data that was refused: the engine's connection goes on as another one. @internal */
  abandon(): void {
    this.#ended({ type: "early-data-rejected" });
  }

  /** How the connection ended; undefined while it lives. */
  get closeCause(): CloseCause | undefined {
    return this.#cause;
  }

  /** Opens a stream both ways; waits while the peer allows no more. The peer learns of it with the first bytes. */
  async openBi(options?: { readonly signal?: AbortSignal }): Promise<BiStream> {
    return this.#bidirectional(await this.#open("bidirectional", options?.signal));
  }

  /** Opens a stream from here to the peer. */
  async openUni(options?: { readonly signal?: AbortSignal }): Promise<SendStream> {
    const stream = await this.#open("unidirectional", options?.signal);
    const send = this.#sendStream(stream);
    stream.handler = this.#streamHandler(send, undefined);
    return send;
  }

  /** The next stream that the peer opened both ways; undefined once the connection is closed. */
  async acceptBi(options?: { readonly signal?: AbortSignal }): Promise<BiStream | undefined> {
    const pending = await this.#hold.during(this.#incoming.bidirectional.next(options));
    return pending === undefined ? undefined : this.#bidirectional(pending.stream, pending);
  }

  /** The next stream that the peer opened towards us; undefined once the connection is closed. */
  async acceptUni(options?: { readonly signal?: AbortSignal }): Promise<ReceiveStream | undefined> {
    const pending = await this.#hold.during(this.#incoming.unidirectional.next(options));
    if (pending === undefined) {
      return undefined;
    }
    pending.passTo(this.#streamHandler(undefined, pending.receive));
    return pending.receive;
  }

  /** Largest datagram that can be sent now, in bytes; undefined when the peer takes none. */
  get maxDatagramSize(): number | undefined {
    return this.#engine.maxDatagramSize;
  }

  /**
   * Sends a datagram: unreliable, unordered, never split. Resolves when it is on its way; waits while the send buffer is
   * full. Rejects with "too-large" when it does not fit {@link maxDatagramSize}.
   */
  async sendDatagram(
    bytes: Uint8Array,
    options?: { readonly signal?: AbortSignal },
  ): Promise<void> {
    options?.signal?.throwIfAborted();
    for (;;) {
      this.#throwIfClosed();
      const outcome = callEngine(() => this.#engine.sendDatagram(bytes));
      if (outcome === "sent") {
        return;
      }
      if (outcome === "too-large") {
        const limit = this.maxDatagramSize;
        const most = limit === undefined ? "the peer takes none" : `at most ${limit} fit`;
        throw new EndpointError(
          "too-large",
          `cannot send a datagram of ${bytes.length} bytes: ${most}`,
        );
      }
      await this.#hold.during(this.#datagramsWritable.wait({ signal: options?.signal }));
    }
  }

  /**
   * The next datagram; undefined once the connection is closed. Up to `datagramReceiveBuffer` bytes of them wait for a
   * reader, see {@link TransportOptions}; newer ones win.
   */
  readDatagram(options?: { readonly signal?: AbortSignal }): Promise<Uint8Array | undefined> {
    return this.#hold.during(this.#datagrams.next(options));
  }

  /** Counters of the whole connection, and round-trip time, window and packet size of the path in use. */
  stats(): ConnectionStats {
    return this.#engine.stats();
  }

  /** The network paths to the peer. One of them carries data; see {@link onPathsChanged} for when that is another. */
  paths(): ConnectionPath[] {
    return connectionPathsOf(this.#engine, this.#paths.transportAddrOf);
  }

  /** Calls `listener` when a path comes, goes, or takes over. Returns the function that ends that. */
  onPathsChanged(listener: () => void): () => void {
    this.#pathListeners ??= new Set();
    this.#pathListeners.add(listener);
    return () => this.#pathListeners?.delete(listener);
  }

  /** The paths are others, or data takes another of them. @internal */
  pathSelected(): void {
    for (const listener of this.#pathListeners ?? []) {
      listener();
    }
  }

  /** Bytes that only the two ends can know (RFC 8446 §7.5), bound to this connection. */
  exportKeyingMaterial(length: number, label: string, context: Uint8Array): Uint8Array {
    this.#throwIfClosed();
    return callEngine(() => this.#engine.exportKeyingMaterial(length, label, context));
  }

  /**
   * Closes the connection, after the peer has acknowledged what was written to streams, and after RPC calls have ended
   * (both bounded by `timeoutMs`). A stream that was not finished ends for its reader with the connection. The first
   * call's code and reason count, and the shortest of all times; where RPC calls could end in time, the code is HTTP/3's.
   */
  close(options: CloseOptions = {}): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = this.#close(options);
    } else if (options.timeoutMs !== undefined) {
      this.#closeWithin(options.timeoutMs);
    }
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(options: CloseOptions): Promise<void> {
    const { code = closeCode.none, reason = "", timeoutMs = 3_000 } = options;
    if (timeoutMs > 0 && this.#cause === undefined) {
      const timeUp = deferred<void>();
      this.#timeUp = timeUp;
      const underWay = this.#underWay(timeoutMs);
      if (underWay.length > 0) {
        this.#closeWithin(timeoutMs);
        await this.#hold.during(
          Promise.race([Promise.allSettled(underWay), timeUp.promise, this.closed]),
        );
      }
      this.#timeUp = undefined;
    }
    if (this.#cause === undefined) {
      this.#engine.close(code, reason);
    }
    this.#closedHere = { type: "application", origin: "local", code, reason };
    for (const stream of this.#sending ?? []) {
      stream.handleConnectionClosed(connectionLost(this.#closedHere, this.remoteId.short));
    }
    await this.closed;
  }

  #closeWithin(timeoutMs: number): void {
    if (this.#timeUp !== undefined) {
      const timer = this.#platform.setTimer(timeoutMs, this.#timeUp.resolve);
      void this.closed.then(() => this.#platform.clearTimer(timer));
    }
  }

  /** What should be done before the connection is closed. */
  #underWay(timeoutMs: number): Promise<void>[] {
    const shutdown = this.#shutdown;
    // Asynchronous, so that what it throws is no reason to stay open.
    const shuttingDown = shutdown === undefined ? [] : [(async () => shutdown({ timeoutMs }))()];
    const finishing: Promise<void>[] = [];
    const open: Promise<void>[] = [];
    for (const stream of this.#sending ?? []) {
      const acknowledged = stream.finishing;
      acknowledged === undefined ? open.push(stream.written) : finishing.push(acknowledged);
    }
    const arriving = open.length > 0 ? [this.#arrived(open)] : [];
    return [...finishing, ...arriving, ...shuttingDown];
  }

  /**
   * Settles when the peer has acknowledged what was `written` to streams that are still open. Engines tell only when all
   * of a finished stream was acknowledged, so this asks until there is nothing that was not.
   */
  async #arrived(written: readonly Promise<void>[]): Promise<void> {
    await Promise.all(written);
    while (this.#timeUp !== undefined && this.#cause === undefined) {
      if (this.#engine.stats().bytesUnacknowledged === 0) {
        return;
      }
      const tick = deferred<void>();
      this.#platform.setTimer(arrivalPollMs, tick.resolve);
      await tick.promise;
    }
  }

  /**
   * Gives the connection away to a protocol that works on the engine's level. It sets `handler` on the returned
   * connection and then calls `start`, which brings the streams that the peer has opened so far. Opening and accepting
   * here ends; `closed`, `stats`, `paths` and `close` go on. Closing calls `shutdown` first, and waits for it as long as
   * its time allows. @internal
   */
  handOver(shutdown: Shutdown): { readonly connection: EngineConnection; start(): void } {
    this.#shutdown = shutdown;
    const connection = new HandedOverConnection(this.#engine, this.#handler);
    const start = (): void => {
      this.#successor = connection;
      for (const direction of ["bidirectional", "unidirectional"] as const) {
        const queue = this.#incoming[direction];
        for (let pending = queue.take(); pending !== undefined; pending = queue.take()) {
          connection.handler.streamOpened(pending.stream);
          pending.replay();
        }
      }
      if (this.#cause !== undefined) {
        connection.handler.closed(this.#cause);
      }
    };
    return { connection, start };
  }

  async #open(direction: StreamDirection, signal: AbortSignal | undefined): Promise<EngineStream> {
    signal?.throwIfAborted();
    for (;;) {
      this.#throwIfClosed();
      const stream = callEngine(() => this.#engine.openStream(direction));
      if (stream !== undefined) {
        return stream;
      }
      await this.#hold.during(this.#streamsAvailable.wait({ signal }));
    }
  }

  #ended(cause: CloseCause): void {
    const handshake = this.#handshake;
    this.#cause = cause;
    this.#handshake = undefined;
    this.#handshakeDone?.resolve(false);
    this.#paths.closed();
    this.#incoming.bidirectional.end();
    this.#incoming.unidirectional.end();
    this.#datagrams.end();
    this.#streamsAvailable.notify();
    this.#datagramsWritable.notify();
    this.#successor?.handler.closed(cause);
    this.#closed.resolve(cause);
    if (cause.type !== "early-data-rejected") {
      handshake?.closed(cause);
    }
  }

  #bidirectional(stream: EngineStream, pending?: PendingStream): BiStream {
    const send = this.#sendStream(stream);
    const receive = pending?.receive ?? new ReceiveStream(stream, this.#hold);
    const handler = this.#streamHandler(send, receive);
    if (pending === undefined) {
      stream.handler = handler;
    } else {
      pending.passTo(handler);
    }
    return { send, receive };
  }

  #sendStream(stream: EngineStream): SendStream {
    const send = new SendStream(stream, this.#hold, () => this.#sending?.delete(send));
    this.#sending ??= new Set();
    this.#sending.add(send);
    return send;
  }

  #streamHandler(send: SendStream | undefined, receive: ReceiveStream | undefined): StreamHandler {
    return {
      readable: () => receive?.handleReadable(),
      writable: () => send?.handleWritable(),
      stopped: (code) => send?.handleStopped(code),
      acknowledged: () => send?.handleAcknowledged(),
      connectionClosed: (cause) => {
        const error = connectionLost(cause, this.remoteId.short);
        send?.handleConnectionClosed(error);
        receive?.handleConnectionClosed(error);
      },
    };
  }

  #throwIfClosed(): void {
    const cause = this.#cause ?? this.#closedHere;
    if (cause !== undefined) {
      throw connectionLost(cause, this.remoteId.short);
    }
  }

  /** What the engine tells. A class, so that an idle connection holds no function for each of these. */
  static readonly #Events = class implements ConnectionHandler {
    readonly #of: Connection;

    constructor(of: Connection) {
      this.#of = of;
    }

    connected(info: ConnectedInfo): void {
      this.#of.#handshake?.connected(info);
    }

    handshakeDone(): void {
      this.#of.#handshake?.done();
    }

    streamOpened(stream: EngineStream): void {
      const of = this.#of;
      if (of.#successor !== undefined) {
        of.#successor.handler.streamOpened(stream);
        return;
      }
      const receive = new ReceiveStream(stream, of.#hold);
      of.#incoming[stream.direction].push(new PendingStream(stream, receive));
    }

    streamsAvailable(direction: StreamDirection): void {
      this.#of.#streamsAvailable.notify();
      this.#of.#successor?.handler.streamsAvailable(direction);
    }

    datagram(bytes: Uint8Array): void {
      const of = this.#of;
      if (of.#successor !== undefined) {
        of.#successor.handler.datagram(bytes);
        return;
      }
      of.#datagrams.push(bytes);
    }

    datagramsWritable(): void {
      this.#of.#datagramsWritable.notify();
      this.#of.#successor?.handler.datagramsWritable();
    }

    candidatesChanged(): void {
      this.#of.#paths.candidatesChanged();
    }

    pathsChanged(): void {
      this.#of.#paths.changed();
      this.#of.pathSelected();
      this.#of.#successor?.handler.pathsChanged();
    }

    closed(cause: CloseCause): void {
      this.#of.#ended(cause);
    }
  };
}

const done: Promise<boolean> = Promise.resolve(true);
