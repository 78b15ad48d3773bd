import { type ClientHttp2Session, connect } from "node:http2";
import { type Deferred, deferred } from "../base/deferred.ts";
import type { Platform, Timer } from "../base/platform.ts";
import type { CloseCause, EngineConnection, StreamHandler } from "../engine/engine.ts";
import { connectionLost, connectionNotOpen } from "../http3/connection-lost.ts";
import { H3, H3Error } from "../http3/h3-error.ts";
import { KeepAlive } from "../http3/keep-alive.ts";
import type { FieldSection } from "../http3/qpack/field.ts";
import type { MessageHandler, RequestStream, SendHeadersOptions } from "../http3/request-stream.ts";
import { Http2RequestStream, headersOf, type RequestOwner } from "./http2-request-stream.ts";
import { StreamDuplex, sessionEnd } from "./stream-duplex.ts";

export interface Http2ClientOptions {
  /** Clock and timers. */
  readonly platform: Platform;
  /** How often the connection is kept alive. Milliseconds; 0 never. */
  readonly keepAliveMs: number;
  /** While requests are open, or always. */
  readonly keepAlive: "active" | "always";
  /** `:authority` of all requests. */
  readonly authority: string;
  /** The peer takes no new requests. */
  readonly onGoaway: () => void;
  /** The connection is over; every open request has got `failed` before. */
  readonly onClosed: (cause: CloseCause) => void;
  /** Gets what a handler has thrown. */
  readonly report: (error: unknown) => void;
}

interface Deadline {
  readonly timer: Timer;
  readonly at: number;
}

/**
 * HTTP/2 (RFC 9113) with prior knowledge on one bidirectional stream of a QUIC connection, for requests of ours. Takes the
 * connection over: sets its `handler`, and closes it in the end. To calls it is what an HTTP/3 connection is.
 */
export class Http2Client {
  readonly #connection: EngineConnection;
  readonly #options: Http2ClientOptions;
  readonly #keepAlive: KeepAlive;
  readonly #session: ClientHttp2Session;
  readonly #duplex: StreamDuplex;
  readonly #requests = new Set<Http2RequestStream>();
  readonly #owner: RequestOwner;
  readonly #over: Deferred<void> = deferred();
  #state: "open" | "draining" | "closed" = "open";
  #cause: CloseCause | undefined;
  #keepAliveTimer: Timer | undefined;
  #deadline: Deadline | undefined;

  /** Throws {@link H3Error} where the peer allows no stream. */
  constructor(connection: EngineConnection, options: Http2ClientOptions) {
    const stream = connection.openStream("bidirectional");
    if (stream === undefined) {
      throw new H3Error(H3.REQUEST_REJECTED, "the peer allows no stream for HTTP/2", {
        scope: "connection",
        origin: "peer",
        unprocessed: true,
      });
    }
    const duplex = new StreamDuplex(stream);
    this.#connection = connection;
    this.#options = options;
    this.#duplex = duplex;
    this.#owner = {
      lost: () => this.#lost(),
      report: options.report,
      soon: (callback) => options.platform.soon(callback),
    };
    this.#keepAlive = new KeepAlive(
      { intervalMs: options.keepAliveMs, always: options.keepAlive === "always" },
      (intervalMs) => connection.setKeepAlive(intervalMs),
    );
    connection.handler = {
      connected: () => {},
      streamOpened: (opened) => {
        // HTTP/2 has no use for streams of a server.
        opened.handler = ignore;
        opened.stop(0n);
        opened.reset(0n);
      },
      streamsAvailable: () => {},
      datagram: () => {},
      datagramsWritable: () => {},
      pathsChanged: () => {},
      closed: (cause) => this.#closed(cause),
    };
    const session = connect(`http://${options.authority}`, {
      createConnection: () => duplex,
      settings: { enablePush: false, initialWindowSize: streamWindow, maxHeaderListSize },
      maxSessionMemory: maxSessionMemoryMb,
    });
    this.#session = session;
    session.on("connect", () => session.setLocalWindowSize(sessionWindow));
    session.on("goaway", () => this.#goaway());
    // "close" follows.
    session.on("error", () => {});
    session.on("close", () => connection.close(0n, ""));
  }

  /** "draining": it takes no new requests, and those that run go on. */
  get state(): "open" | "draining" | "closed" {
    const { closed, destroyed } = this.#session;
    return this.#state === "open" && (closed || destroyed) ? "draining" : this.#state;
  }

  get activeRequests(): number {
    return this.#requests.size;
  }

  /** Requests beyond those that the peer allows at once. */
  get queuedRequests(): number {
    const settings = this.state === "open" ? this.#session.remoteSettings : undefined;
    const { maxConcurrentStreams: most = Number.POSITIVE_INFINITY } = settings ?? {};
    return Math.max(0, this.#requests.size - most);
  }

  /**
   * Sends a request; above the peer's limit it waits its turn. Failures go to `handler.failed`, never before this call has
   * returned. Throws TypeError when the header section is not valid (RFC 9113 §8.2, §8.3), and {@link H3Error} when the
   * connection takes no requests.
   */
  request(
    fields: FieldSection,
    handler: MessageHandler,
    { end = false, content }: SendHeadersOptions = {},
  ): RequestStream {
    const { state } = this;
    if (state !== "open") {
      throw connectionNotOpen(state);
    }
    const sent = end && content === undefined;
    const stream = this.#session.request(
      { ...headersOf(fields), ":scheme": "http", ":authority": this.#options.authority },
      { endStream: sent },
    );
    const request = new Http2RequestStream(stream, handler, this.#owner, { sent });
    stream.on("response", (headers) => request.answered(headers));
    stream.on("trailers", (headers) => request.trailed(headers));
    stream.on("close", () => {
      this.#requests.delete(request);
      this.#activeChanged();
    });
    this.#requests.add(request);
    this.#activeChanged();
    if (content !== undefined) {
      request.sendData(content, { end });
    }
    return request;
  }

  /**
   * Takes no new requests, lets those that run end, and closes the connection; at the latest after `timeoutMs`. Resolves
   * when it is over. Can be called again: the time that ends first counts.
   */
  shutdown({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    const { platform } = this.#options;
    const at = platform.now() + timeoutMs;
    if (this.#state !== "closed" && (this.#deadline === undefined || at < this.#deadline.at)) {
      this.#state = "draining";
      this.#clearDeadline();
      const timer = platform.setTimer(timeoutMs, () => this.close(H3.NO_ERROR, ""));
      this.#deadline = { timer, at };
      this.#closeIfDone();
    }
    return this.#over.promise;
  }

  /** Closes now; running requests fail. iroh's programs close with 0, so the code is not told. Idempotent. */
  close(_code: bigint, reason: string): void {
    this.#connection.close(0n, reason);
  }

  #goaway(): void {
    if (this.#state === "open") {
      this.#state = "draining";
      this.#options.onGoaway();
      this.#closeIfDone();
    }
  }

  #closeIfDone(): void {
    if (this.#state === "draining" && this.#requests.size === 0) {
      this.close(H3.NO_ERROR, "");
    }
  }

  #closed(cause: CloseCause): void {
    this.#state = "closed";
    this.#cause ??= cause;
    this.#clearDeadline();
    const { platform } = this.#options;
    if (this.#keepAliveTimer !== undefined) {
      platform.clearTimer(this.#keepAliveTimer);
    }
    // Node has been given what had arrived before, and hands it on by and by.
    platform.soon(() => {
      const error = this.#lost() ?? connectionLost(cause, undefined, false);
      for (const request of this.#requests) {
        request.fail(error);
      }
      this.#session.destroy();
      this.#over.resolve();
      this.#options.onClosed(cause);
    });
  }

  #lost(): H3Error | undefined {
    return sessionEnd(this.#session, this.#duplex, this.#cause, "the peer gave up its stream");
  }

  #clearDeadline(): void {
    if (this.#deadline !== undefined) {
      this.#options.platform.clearTimer(this.#deadline.timer);
    }
  }

  #activeChanged(): void {
    if (this.#state === "closed") {
      return;
    }
    const { platform } = this.#options;
    this.#keepAlive.activeChanged(this.#requests.size > 0, platform.now());
    const next = this.#keepAlive.nextTimeout();
    if (next !== undefined && this.#keepAliveTimer === undefined) {
      this.#wakeAt(next);
    }
    this.#closeIfDone();
  }

  /** One timer: it may fire early, then it is set anew. */
  #wakeAt(time: number): void {
    const { platform } = this.#options;
    this.#keepAliveTimer = platform.setTimer(Math.max(0, time - platform.now()), () => {
      this.#keepAliveTimer = undefined;
      this.#keepAlive.handleTimeout(platform.now());
      const next = this.#keepAlive.nextTimeout();
      if (next !== undefined) {
        this.#wakeAt(next);
      }
    });
  }
}

const ignore: StreamHandler = {
  readable: () => {},
  writable: () => {},
  stopped: () => {},
  acknowledged: () => {},
  connectionClosed: () => {},
};

// What the peer may send ahead of our reading, of one answer and of all, and how long the header section of one may be.
// Bytes.
const streamWindow = 1_048_576;
const sessionWindow = 16_777_216;
const maxHeaderListSize = 65_536;

/** Above it Node refuses streams; a request counts with what waits to be sent of it, which for one message can be much. */
const maxSessionMemoryMb = 1_000;
