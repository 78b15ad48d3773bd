import type {
  ClientHttp2Stream,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
  ServerHttp2Stream,
} from "node:http2";
import { addAbortSignal } from "node:stream";
import { H3Error } from "../http3/h3-error.ts";
import type { FieldSection } from "../http3/qpack/field.ts";
import type { MessageHandler, RequestStream, SendHeadersOptions } from "../http3/request-stream.ts";
import { H2, h2CodeName, h2CodeOf, h3CodeOf } from "./h2-code.ts";

/** What a request asks of the session that it runs on. */
export interface RequestOwner {
  /** Why all requests of the session end, if that is so. */
  lost(): H3Error | undefined;
  /** Gets what a handler has thrown. */
  report(error: unknown): void;
  /** As `Platform.soon`. */
  soon(callback: () => void): void;
}

/**
 * One request and its response as a stream of Node's http2, with the interface that those over HTTP/3 have: what Connect's
 * calls do with one, they do with the other.
 */
export class Http2RequestStream implements RequestStream {
  handler: MessageHandler;
  readonly #stream: ClientHttp2Stream | ServerHttp2Stream;
  readonly #owner: RequestOwner;
  /** Nothing more goes to the handler. */
  #over = false;
  /** Its content and what follows is not wanted, or has come. */
  #received = false;
  #sent: boolean;
  #paused = false;
  /** The handler has got its header section. Node tells of it later than of content that came with it. */
  #headed: boolean;
  #trailers: FieldSection | undefined;
  #ownTrailers: FieldSection = [];

  constructor(
    stream: ClientHttp2Stream | ServerHttp2Stream,
    handler: MessageHandler,
    owner: RequestOwner,
    { sent }: { /** Our half ended with the header section. */ readonly sent: boolean },
  ) {
    this.#stream = stream;
    this.handler = handler;
    this.#owner = owner;
    this.#sent = sent;
    this.#headed = "respond" in stream;
    stream.on("data", (bytes: Uint8Array) => {
      if (!this.#received) {
        this.#tell(() => this.handler.data(bytes));
      }
    });
    if (!this.#headed) {
      stream.pause();
    }
    stream.on("end", () => this.#ended());
    stream.on("drain", () => this.#tell(() => this.handler.writable()));
    // Comes before Node ends what was received. With NO_ERROR the peer wants no more, and what it said counts.
    stream.on("aborted", () => {
      if (stream.rstCode !== H2.NO_ERROR) {
        this.#failed();
      }
    });
    // "close" follows, with the code.
    stream.on("error", () => {});
    stream.on("close", () => this.#failed());
  }

  get id(): number {
    return this.#stream.id ?? -1;
  }

  /** On a server: gives the request to who handles it. */
  asked(handler: () => MessageHandler, fields: FieldSection): void {
    this.#tell(() => {
      this.handler = handler();
      this.handler.headers(fields);
    });
  }

  /** The header section of the answer to a request of ours. */
  answered(headers: IncomingHttpHeaders): void {
    this.#tell(() => this.handler.headers(fieldsOf(headers)));
    this.#headed = true;
    if (!this.#paused) {
      this.#stream.resume();
    }
  }

  /** The trailer section of that answer; comes before its content has been read. */
  trailed(headers: IncomingHttpHeaders): void {
    this.#trailers = fieldsOf(headers);
  }

  /** Node sends from the memory that it was given, when there is time. */
  get copiesData(): boolean {
    return false;
  }

  /** On a server. */
  sendHeaders(fields: FieldSection, options: SendHeadersOptions = {}): void {
    const stream = this.#stream;
    if (!("respond" in stream) || stream.destroyed || stream.closed) {
      return;
    }
    const { content, end = false } = options;
    const last = end && content === undefined;
    stream.once("wantTrailers", () => this.#finish(stream));
    stream.respond(headersOf(fields), { endStream: last, waitForTrailers: !last });
    this.#sent = last;
    if (content !== undefined) {
      this.sendData(content, { end });
    }
  }

  sendData(bytes: Uint8Array, { end = false }: { readonly end?: boolean } = {}): boolean {
    if (this.#sent || this.#stream.destroyed) {
      return true;
    }
    const roomLeft = this.#stream.write(bytes);
    if (end) {
      this.end();
    }
    return roomLeft;
  }

  sendTrailers(fields: FieldSection): void {
    this.#ownTrailers = fields;
    this.end();
  }

  end(): void {
    if (!this.#sent) {
      this.#sent = true;
      this.#stream.end();
    }
  }

  pause(): void {
    this.#paused = true;
    this.#stream.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#headed) {
      this.#stream.resume();
    }
  }

  cancel(code: bigint): void {
    this.#over = true;
    this.#giveUp(h2CodeOf(code));
  }

  stopReceiving(): void {
    // What comes is thrown away until the answer is complete, and then the peer is told to stop (RFC 9113 §8.1).
    this.#received = true;
    this.#stream.resume();
  }

  #giveUp(code: number): void {
    const stream = this.#stream;
    this.#sent = true;
    if (stream.destroyed) {
      return;
    }
    if (code === H2.CANCEL && !stream.writableEnded) {
      // Node's `close` ends what is sent first, and so the peer takes half a message for a whole one. This does not.
      addAbortSignal(AbortSignal.abort(), stream);
    } else {
      stream.close(code);
    }
  }

  /** All of the answer but its trailers was sent. */
  #finish(stream: ServerHttp2Stream): void {
    try {
      stream.sendTrailers(headersOf(this.#ownTrailers));
    } catch (error) {
      // A handler has made some that HTTP/2 cannot carry.
      this.#owner.report(error);
      this.#giveUp(H2.INTERNAL_ERROR);
      return;
    }
    // At once, Node would drop the trailers.
    this.#owner.soon(() => {
      if (!stream.readableEnded && !stream.destroyed) {
        stream.close(H2.NO_ERROR);
      }
    });
  }

  #ended(): void {
    if (this.#received) {
      return;
    }
    this.#received = true;
    const trailers = this.#trailers;
    if (trailers !== undefined) {
      this.#tell(() => this.handler.trailers(trailers));
    }
    this.#tell(() => this.handler.end());
  }

  /** Ends the message with its session. */
  fail(error: H3Error): void {
    if (this.#over) {
      return;
    }
    this.#over = true;
    try {
      this.handler.failed(error);
    } catch (thrown) {
      this.#owner.report(thrown);
    }
    this.#giveUp(H2.CANCEL);
  }

  #failed(): void {
    const code = this.#stream.rstCode ?? H2.NO_ERROR;
    const lost = this.#owner.lost();
    if (lost === undefined && code === H2.NO_ERROR && this.#received) {
      // Both sides have ended it.
      this.#over = true;
    } else {
      this.fail(lost ?? resetBy(code));
    }
  }

  /** What a handler throws ends its request alone. */
  #tell(what: () => void): void {
    if (this.#over) {
      return;
    }
    try {
      what();
    } catch (error) {
      this.#owner.report(error);
      this.#over = true;
      this.#giveUp(H2.INTERNAL_ERROR);
    }
  }
}

function resetBy(code: number): H3Error {
  return new H3Error(
    h3CodeOf(code),
    code === H2.NO_ERROR
      ? "the peer ended the stream before the message"
      : `the peer reset the stream with ${h2CodeName(code)}`,
    {
      scope: "stream",
      origin: "peer",
      // RFC 9113 §8.7
      unprocessed: code === H2.REFUSED_STREAM,
    },
  );
}

/** A field section as Node has it. Throws TypeError when it is none that HTTP/2 can carry. */
export function headersOf(fields: FieldSection): OutgoingHttpHeaders {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of fields) {
    const before = headers[name];
    if (before === undefined) {
      headers[name] = value;
    } else {
      headers[name] = Array.isArray(before) ? [...before, value] : [before, value];
    }
  }
  return headers;
}

/** Node's headers as a field section. */
export function fieldsOf(headers: IncomingHttpHeaders): FieldSection {
  return Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value]).flatMap(
      (each): FieldSection => (each === undefined ? [] : [[name, String(each)]]),
    ),
  );
}
