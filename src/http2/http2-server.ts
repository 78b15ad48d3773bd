import {
  createServer,
  type Http2Server as NodeServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { type Deferred, deferred } from "../base/deferred.ts";
import type { Platform, Timer } from "../base/platform.ts";
import type { CloseCause, EngineConnection, EngineStream } from "../engine/engine.ts";
import { connectionLost } from "../http3/connection-lost.ts";
import type { H3Error } from "../http3/h3-error.ts";
import type { FieldSection } from "../http3/qpack/field.ts";
import type { MessageHandler, RequestStream } from "../http3/request-stream.ts";
import { fieldsOf, Http2RequestStream } from "./http2-request-stream.ts";
import { StreamDuplex, sessionEnd } from "./stream-duplex.ts";

/** What one connection can make us hold. See {@link defaultHttp2Limits}. */
export interface Http2Limits {
  /** QUIC streams with HTTP/2 on them at once; one more is reset with code 1, as tonic-iroh-transport does. */
  readonly maxSessions: number;
  /** Requests at once in each of them. */
  readonly maxConcurrentStreams: number;
  /** What a peer may send of a request ahead of its reader. Bytes. */
  readonly streamWindow: number;
  /** Largest header section. Bytes. */
  readonly maxHeaderListSize: number;
}

/** 8 × 256 requests with 256 KiB each: what of one connection waits for readers is 512 MiB at most. */
export const defaultHttp2Limits: Http2Limits = {
  maxSessions: 8,
  maxConcurrentStreams: 256,
  streamWindow: 262_144,
  maxHeaderListSize: 65_536,
};

export interface Http2ServerOptions {
  readonly platform: Platform;
  readonly limits?: Partial<Http2Limits>;
  /** Gets what a handler has thrown. */
  readonly report: (error: unknown) => void;
}

/** Returns the handler of a request; `headers` is called on it right after. */
export type OnRequest = (stream: RequestStream, fields: FieldSection) => MessageHandler;

/** Serves HTTP/2 (RFC 9113) with prior knowledge on the bidirectional streams that peers open. */
export class Http2Server {
  readonly #server: NodeServer;
  readonly #options: Http2ServerOptions & { readonly limits: Http2Limits };
  readonly #connections = new Set<Http2Connection>();

  constructor(options: Http2ServerOptions) {
    const limits = { ...defaultHttp2Limits, ...options.limits };
    this.#options = { ...options, limits };
    // Never listens. It knows how to make a session of a stream, which Node has a name for from 20.12 on only.
    this.#server = createServer({
      settings: {
        maxConcurrentStreams: limits.maxConcurrentStreams,
        initialWindowSize: limits.streamWindow,
        maxHeaderListSize: limits.maxHeaderListSize,
      },
      maxSessionMemory: maxSessionMemoryMb,
    });
    // What ends one session is no matter for others; its "close" follows.
    this.#server.on("sessionError", () => {});
  }

  /** Takes a connection over. */
  serve(connection: EngineConnection, onRequest: OnRequest): Http2Connection {
    const served = new Http2Connection(connection, {
      ...this.#options,
      onRequest,
      open: (duplex) => this.#open(duplex),
      onClosed: () => this.#connections.delete(served),
    });
    this.#connections.add(served);
    return served;
  }

  /** Lets requests that run end, and closes all connections; at the latest after `timeoutMs`. */
  async shutdown(options: { readonly timeoutMs: number }): Promise<void> {
    await Promise.all([...this.#connections].map((connection) => connection.shutdown(options)));
  }

  #open(duplex: StreamDuplex): ServerHttp2Session {
    let session: ServerHttp2Session | undefined;
    this.#server.once("session", (opened: ServerHttp2Session) => {
      session = opened;
    });
    this.#server.emit("connection", duplex);
    if (session === undefined) {
      throw new TypeError("Node's http2 has made no session of a stream");
    }
    return session;
  }
}

interface ConnectionOptions extends Http2ServerOptions {
  readonly limits: Http2Limits;
  readonly onRequest: OnRequest;
  readonly open: (duplex: StreamDuplex) => ServerHttp2Session;
  readonly onClosed: () => void;
}

/** A connection of a peer, and the HTTP/2 sessions on its streams. */
export class Http2Connection {
  readonly #connection: EngineConnection;
  readonly #options: ConnectionOptions;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #requests = new Set<Http2RequestStream>();
  readonly #over: Deferred<void> = deferred();
  #draining = false;
  #cause: CloseCause | undefined;
  #deadline: Timer | undefined;
  #linger: Timer | undefined;

  /** @internal Made by {@link Http2Server.serve}. */
  constructor(connection: EngineConnection, options: ConnectionOptions) {
    this.#connection = connection;
    this.#options = options;
    connection.handler = {
      connected: () => {},
      streamOpened: (stream) => this.#streamOpened(stream),
      streamsAvailable: () => {},
      datagram: () => {},
      datagramsWritable: () => {},
      pathsChanged: () => {},
      closed: (cause) => this.#closed(cause),
    };
  }

  /** As `Http2Server.shutdown`, of this connection alone. */
  shutdown({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    if (this.#cause !== undefined) {
      return this.#over.promise;
    }
    const { platform } = this.#options;
    if (this.#deadline !== undefined) {
      platform.clearTimer(this.#deadline);
    }
    this.#deadline = platform.setTimer(timeoutMs, () => this.#connection.close(0n, ""));
    if (!this.#draining) {
      this.#draining = true;
      for (const session of this.#sessions) {
        // GOAWAY; what runs goes on.
        session.close();
      }
      this.#closeIfDone();
    }
    return this.#over.promise;
  }

  #streamOpened(stream: EngineStream): void {
    const { limits } = this.#options;
    const duplex = new StreamDuplex(stream);
    const tooMany = this.#sessions.size >= limits.maxSessions;
    if (stream.direction !== "bidirectional" || this.#draining || tooMany) {
      stream.stop(overloaded);
      stream.reset(overloaded);
      duplex.destroy();
      return;
    }
    const session = this.#options.open(duplex);
    this.#sessions.add(session);
    const lost = (): H3Error | undefined =>
      sessionEnd(session, duplex, this.#cause, "the caller gave up the stream");
    session.on("stream", (opened: ServerHttp2Stream, headers) => {
      this.#requested(opened, fieldsOf(headers), lost);
    });
    session.on("close", () => this.#sessions.delete(session));
  }

  #requested(
    stream: ServerHttp2Stream,
    fields: FieldSection,
    lost: () => H3Error | undefined,
  ): void {
    const { onRequest, platform, report } = this.#options;
    const soon = (callback: () => void): void => platform.soon(callback);
    const owner = { lost, report, soon };
    const request = new Http2RequestStream(stream, notYet, owner, { sent: false });
    this.#requests.add(request);
    stream.on("close", () => {
      this.#requests.delete(request);
      this.#closeIfDone();
    });
    request.asked(() => onRequest(request, fields), fields);
  }

  /** Requests that have crossed our GOAWAY are refused meanwhile, and answers arrive. */
  #closeIfDone(): void {
    if (!this.#draining || this.#requests.size > 0 || this.#linger !== undefined) {
      return;
    }
    const { rttMs } = this.#connection.stats();
    const lingerMs = Math.min(Math.max(2 * rttMs, minLingerMs), maxLingerMs);
    this.#linger = this.#options.platform.setTimer(lingerMs, () => {
      this.#linger = undefined;
      if (this.#requests.size === 0 && this.#connection.stats().bytesUnacknowledged === 0) {
        this.#connection.close(0n, "");
      } else {
        this.#closeIfDone();
      }
    });
  }

  #closed(cause: CloseCause): void {
    const { platform, onClosed } = this.#options;
    this.#cause = cause;
    for (const timer of [this.#deadline, this.#linger]) {
      if (timer !== undefined) {
        platform.clearTimer(timer);
      }
    }
    const error = connectionLost(cause, undefined, false);
    for (const request of this.#requests) {
      request.fail(error);
    }
    for (const session of this.#sessions) {
      session.destroy();
    }
    this.#over.resolve();
    onClosed();
  }
}

/** Until `onRequest` has said who handles a request, which is within the same turn. */
const notYet: MessageHandler = {
  headers: () => {},
  informational: () => {},
  data: () => {},
  trailers: () => {},
  end: () => {},
  failed: () => {},
  writable: () => {},
  stopped: () => {},
};

/** How long a connection without requests stays for those on their way, before it is asked again. Two round trips. */
const minLingerMs = 5;
const maxLingerMs = 500;

/** tonic-iroh-transport's code for a stream that it has no room for. */
const overloaded = 1n;

/** Above it Node refuses requests; answers count with what waits to be sent of them, which for one message can be much. */
const maxSessionMemoryMb = 256;
