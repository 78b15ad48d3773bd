import { type Deferred, deferred } from "../base/deferred.ts";
import type { Platform, Timer } from "../base/platform.ts";
import type {
  CloseCause,
  ConnectionHandler,
  EngineConnection,
  EngineStream,
  Role,
  StreamDirection,
} from "../engine/engine.ts";
import type { ConnectionPort } from "./connection-port.ts";
import { EngineStreamPort, isOver } from "./engine-stream-port.ts";
import { H3 } from "./h3-error.ts";
import { Http3Core } from "./http3-core.ts";
import type { Http3Limits } from "./http3-limits.ts";
import { KeepAlive } from "./keep-alive.ts";
import type { FieldSection } from "./qpack/field.ts";
import type { MessageHandler, RequestStream, SendHeadersOptions } from "./request-stream.ts";
import type { Settings } from "./settings.ts";
import type { StreamCore, StreamPort } from "./stream-port.ts";

export interface Http3ConnectionOptions {
  readonly role: Role;
  /** Clock and timers. */
  readonly platform: Platform;
  readonly limits?: Partial<Http3Limits> | undefined;
  /**
   * The connection is kept alive at this interval while requests are open. Milliseconds, 0 never. Default 5_000: well
   * below the usual idle timeout of 30 s, so that a peer that is gone is noticed.
   */
  readonly keepAliveMs?: number | undefined;
  /** "active": keep alive only while requests are open. "always": also between them. Default "active". */
  readonly keepAlive?: "active" | "always" | undefined;
  /**
   * Offers that both sides send requests, by an extension (docs/requests-both-ways.md); see
   * {@link Http3Connection.sendsRequests} for what comes of it. Default false: clients alone do.
   */
  readonly requestsBothWays?: boolean | undefined;
  /** A request with this header section arrived. Returns its handler; `headers` is called on it right after. */
  readonly onRequest?:
    | ((stream: RequestStream, fields: FieldSection) => MessageHandler)
    | undefined;
  /** The peer's SETTINGS have arrived. */
  readonly onSettings?: (() => void) | undefined;
  /** The peer is going away: no new requests will be processed on this connection (RFC 9114 §5.2). */
  readonly onGoaway?: (() => void) | undefined;
  /** The connection is over; every open request has got `failed` before. */
  readonly onClosed?: ((cause: CloseCause) => void) | undefined;
}

interface Deadline {
  readonly timer: Timer;
  readonly at: number;
}

/**
 * HTTP/3 (RFC 9114) on a QUIC connection. Takes the connection over: sets its `handler`, and closes it in the end. The
 * rules of the protocol are in {@link Http3Core}; here are the engine, the timers and the promises.
 */
export class Http3Connection {
  readonly #connection: EngineConnection;
  readonly #options: Http3ConnectionOptions;
  readonly #core: Http3Core;
  readonly #keepAlive: KeepAlive;
  #timer: Deadline | undefined;
  #shutdown: { readonly over: Deferred<void>; deadline: Deadline | undefined } | undefined;
  #lingering = false;
  #closed = false;

  /** The connection may still be in its handshake, as long as no stream was opened on it. */
  constructor(connection: EngineConnection, options: Http3ConnectionOptions) {
    this.#connection = connection;
    this.#options = options;
    const { keepAliveMs = 5_000, keepAlive = "active" } = options;
    this.#keepAlive = new KeepAlive(
      { intervalMs: keepAliveMs, always: keepAlive === "always" },
      (intervalMs) => connection.setKeepAlive(intervalMs),
    );
    this.#core = new Http3Core(options, new Http3Connection.#Port(this));
    connection.handler = new Http3Connection.#Events(this);
    this.#core.start();
  }

  /** Requests that are open or waiting, both directions. */
  get activeRequests(): number {
    return this.#core.activeRequests;
  }

  /** Requests that wait for the peer to allow another stream. */
  get queuedRequests(): number {
    return this.#core.queuedRequests;
  }

  /** "open", "draining" (GOAWAY sent or received: no new requests), or "closed". */
  get state(): "open" | "draining" | "closed" {
    return this.#core.state;
  }

  /** What the peer's SETTINGS say, or the initial values as long as they have not arrived (RFC 9114 §7.2.4.2). */
  get peerSettings(): Settings {
    return this.#core.peerSettings;
  }

  /**
   * Whether this side may send requests. Undefined: both sides may if the peer's SETTINGS say so, and these have not
   * arrived.
   */
  get sendsRequests(): boolean | undefined {
    return this.#core.sendsRequests;
  }

  /**
   * Sends a request. Never throws for lack of streams: above the peer's stream limit the request waits its turn, and
   * `cancel` takes it out of the queue. Failures go to `handler.failed`, never before this call has returned. Throws
   * TypeError when the header section is not valid (RFC 9114 §4.2, §4.3), or unless this side {@link sendsRequests}.
   */
  request(
    fields: FieldSection,
    handler: MessageHandler,
    options?: SendHeadersOptions,
  ): RequestStream {
    return this.#core.request(fields, handler, options);
  }

  /**
   * Sends GOAWAY, lets running requests end, waiting ones too, then closes with H3_NO_ERROR; at the latest after
   * `timeoutMs`. Resolves when the connection is over. Can be called again: the timeout that ends first counts.
   */
  shutdown(options: { timeoutMs: number }): Promise<void> {
    const { platform } = this.#options;
    if (this.#shutdown === undefined) {
      this.#shutdown = { over: deferred(), deadline: undefined };
      if (this.#closed) {
        this.#shutdown.over.resolve();
      } else {
        this.#core.goaway();
      }
    }
    const shutdown = this.#shutdown;
    const at = platform.now() + options.timeoutMs;
    if (!this.#closed && (shutdown.deadline === undefined || at < shutdown.deadline.at)) {
      this.#clearDeadline();
      const timer = platform.setTimer(options.timeoutMs, () => this.close(H3.NO_ERROR, ""));
      shutdown.deadline = { timer, at };
    }
    return shutdown.over.promise;
  }

  /** Closes now with an H3 code; running requests fail. Idempotent. */
  close(code: bigint, reason: string): void {
    this.#core.close(code, reason);
  }

  #openStream(direction: StreamDirection, core: StreamCore): StreamPort | undefined {
    if (this.#closed) {
      return undefined;
    }
    let stream: EngineStream | undefined;
    try {
      stream = this.#connection.openStream(direction);
    } catch (error) {
      // Closed, but we have not been told yet.
      if (isOver(error)) {
        return undefined;
      }
      throw error;
    }
    return stream === undefined ? undefined : new EngineStreamPort(stream, () => core);
  }

  #connectionClosed(cause: CloseCause): void {
    this.#closed = true;
    if (this.#timer !== undefined) {
      this.#options.platform.clearTimer(this.#timer.timer);
      this.#timer = undefined;
    }
    this.#core.closed(cause);
    this.#clearDeadline();
    this.#shutdown?.over.resolve();
    this.#options.onClosed?.(cause);
  }

  #clearDeadline(): void {
    const deadline = this.#shutdown?.deadline;
    if (deadline !== undefined) {
      this.#options.platform.clearTimer(deadline.timer);
    }
  }

  #activeChanged(active: boolean): void {
    if (!this.#closed) {
      this.#keepAlive.activeChanged(active, this.#options.platform.now());
      this.#wakeForKeepAlive();
    }
  }

  #drained(): void {
    if (this.#shutdown === undefined || this.#lingering) {
      return;
    }
    if (!this.#core.takesRequests) {
      this.close(H3.NO_ERROR, "");
      return;
    }
    // Requests may be on their way that have not seen our GOAWAY. They are rejected, and can be sent again elsewhere;
    // were the connection closed at once, nobody could know that they were not processed (RFC 9114 §5.2).
    this.#lingering = true;
    const { platform } = this.#options;
    const lingerMs = Math.min(2 * this.#connection.stats().rttMs, maxLingerMs);
    platform.setTimer(lingerMs, () => this.close(H3.NO_ERROR, ""));
  }

  #wakeForKeepAlive(): void {
    const next = this.#keepAlive.nextTimeout();
    if (next !== undefined) {
      this.#wakeAt(next);
    }
  }

  /** One timer for all: it may fire early, then it is set anew. */
  #wakeAt(time: number): void {
    if (this.#closed || (this.#timer !== undefined && this.#timer.at <= time)) {
      return;
    }
    const { platform } = this.#options;
    if (this.#timer !== undefined) {
      platform.clearTimer(this.#timer.timer);
    }
    const delayMs = Math.max(0, time - platform.now());
    this.#timer = { at: time, timer: platform.setTimer(delayMs, () => this.#wake()) };
  }

  #wake(): void {
    this.#timer = undefined;
    const now = this.#options.platform.now();
    this.#keepAlive.handleTimeout(now);
    this.#core.handleTimeout(now);
    this.#wakeForKeepAlive();
  }

  // Classes, because a function for each of these is most of what an idle connection holds.

  /** What the core asks. */
  static readonly #Port = class implements ConnectionPort {
    readonly #of: Http3Connection;

    constructor(of: Http3Connection) {
      this.#of = of;
    }

    openStream(direction: StreamDirection, core: StreamCore): StreamPort | undefined {
      return this.#of.#openStream(direction, core);
    }

    close(code: bigint, reason: string): void {
      this.#of.#connection.close(code, reason);
    }

    now(): number {
      return this.#of.#options.platform.now();
    }

    soon(callback: () => void): void {
      queueMicrotask(callback);
    }

    wakeAt(time: number): void {
      this.#of.#wakeAt(time);
    }

    activeChanged(active: boolean): void {
      this.#of.#activeChanged(active);
    }

    settings(): void {
      this.#of.#options.onSettings?.();
    }

    goaway(): void {
      this.#of.#options.onGoaway?.();
    }

    drained(): void {
      this.#of.#drained();
    }
  };

  /** What the engine tells. */
  static readonly #Events = class implements ConnectionHandler {
    readonly #of: Http3Connection;

    constructor(of: Http3Connection) {
      this.#of = of;
    }

    connected(): void {
      const core = this.#of.#core;
      core.streamsAvailable("unidirectional");
      core.streamsAvailable("bidirectional");
    }

    streamOpened(stream: EngineStream): void {
      const core = this.#of.#core;
      new EngineStreamPort(stream, (port) => core.accept(stream.direction, port));
    }

    streamsAvailable(direction: StreamDirection): void {
      this.#of.#core.streamsAvailable(direction);
    }

    datagram(): void {}
    datagramsWritable(): void {}
    pathsChanged(): void {}

    closed(cause: CloseCause): void {
      this.#of.#connectionClosed(cause);
    }
  };
}

/** How long a side that has nothing more to do waits for requests that crossed its GOAWAY, at most. */
const maxLingerMs = 500;
