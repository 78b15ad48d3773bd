// Two HTTP/3 connections joined in memory without a byte between them: what one side sends is handed to the other in its
// order, a microtask later. For tests of what stands on HTTP/3; the wire has its own.

import { EndpointError } from "../../src/endpoint/endpoint-error.ts";
import { H3, H3Error } from "../../src/http3/h3-error.ts";
import type {
  MessageHandler,
  RequestStream,
  SendHeadersOptions,
} from "../../src/http3/request-stream.ts";
import type { HttpSession, SessionEvents } from "../../src/rpc/session.ts";

type FieldSection = Parameters<RequestStream["sendHeaders"]>[0];

export interface LoopbackOptions {
  readonly onRequest: (stream: RequestStream, fields: FieldSection) => MessageHandler;
  readonly events?: SessionEvents;
  /** Bytes that one side may send on a stream ahead of the other's reading. Default 65_536. */
  readonly window?: number;
}

/** The client's end, with what only tests may do. */
export class LoopbackSession implements HttpSession {
  state: HttpSession["state"] = "open";
  readonly queuedRequests = 0;
  /** Head sections of all requests so far. */
  readonly requests: FieldSection[] = [];
  readonly #options: LoopbackOptions;
  readonly #streams = new Set<StreamEnd>();
  #nextId = 0;
  #idle: (() => void) | undefined;
  /** Errors to refuse coming requests with, before the other side sees them. */
  readonly refusals: H3Error[] = [];

  constructor(options: LoopbackOptions) {
    this.#options = options;
  }

  get activeRequests(): number {
    return this.#streams.size;
  }

  /** Bytes that were sent, by either side, and not taken by the other's handler. */
  get bufferedBytes(): number {
    return [...this.#streams].reduce((sum, end) => sum + end.inboxBytes + end.other.inboxBytes, 0);
  }

  request(
    fields: FieldSection,
    handler: MessageHandler,
    options?: SendHeadersOptions,
  ): RequestStream {
    const window = this.#options.window ?? 65_536;
    const id = this.#nextId;
    this.#nextId += 4;
    this.requests.push(fields);
    const client = new StreamEnd(id, window, () => this.#over(client));
    const server = new StreamEnd(id, window, () => this.#over(client));
    client.other = server;
    server.other = client;
    client.handler = handler;
    const refusal =
      this.state === "open"
        ? this.refusals.shift()
        : new H3Error(H3.REQUEST_REJECTED, "connection takes no requests", {
            scope: "connection",
            origin: "local",
            unprocessed: true,
          });
    if (refusal !== undefined) {
      queueMicrotask(() => client.fail(refusal));
      return client;
    }
    this.#streams.add(client);
    server.accept = (fields) => this.#options.onRequest(server, fields);
    client.sendHeaders(fields, options);
    return client;
  }

  /** The server's GOAWAY arrives. */
  goAway(): void {
    if (this.state === "open") {
      this.state = "draining";
      this.#options.events?.goingAway();
    }
  }

  /** The connection is gone, for both sides. */
  lose(error: H3Error = connectionLost): void {
    if (this.state === "closed") {
      return;
    }
    this.state = "closed";
    for (const client of [...this.#streams]) {
      client.fail(error);
      client.other.fail(error);
    }
    this.#options.events?.closed(new EndpointError("connection-lost", error.message));
    this.#idle?.();
  }

  close(code: bigint, reason: string): void {
    const cause = { type: "application", origin: "local", code, reason };
    this.lose(new H3Error(code, reason, { scope: "connection", origin: "local", cause }));
  }

  async shutdown(options: { timeoutMs: number }): Promise<void> {
    if (this.state === "open") {
      this.state = "draining";
    }
    if (this.#streams.size > 0 && options.timeoutMs > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    this.close(H3.NO_ERROR, "");
  }

  #over(client: StreamEnd): void {
    if (client.isOver) {
      this.#streams.delete(client);
      if (this.#streams.size === 0) {
        this.#idle?.();
      }
    }
  }
}

export const connectionLost: H3Error = new H3Error(H3.NO_ERROR, "connection lost", {
  scope: "connection",
  origin: "local",
  cause: { type: "timeout", handshaking: false },
});

const pieceBytes = 16_384;

type Item =
  | { readonly type: "headers" | "trailers"; readonly fields: FieldSection }
  | { readonly type: "data"; readonly bytes: Uint8Array }
  | { readonly type: "end" };

class StreamEnd implements RequestStream {
  handler: MessageHandler = inert;
  readonly id: number;
  accept: ((fields: FieldSection) => MessageHandler) | undefined;
  other: StreamEnd = this;
  inboxBytes = 0;
  readonly #window: number;
  readonly #onOver: () => void;
  #inbox: Item[] = [];
  #sending: "open" | "blocked" | "over" = "open";
  #receiving: "open" | "over" = "open";
  #paused = false;
  #scheduled = false;

  constructor(id: number, window: number, onOver: () => void) {
    this.id = id;
    this.#window = window;
    this.#onOver = onOver;
  }

  get isOver(): boolean {
    return this.#sending === "over" && this.#receiving === "over";
  }

  get copiesData(): boolean {
    return false;
  }

  sendHeaders(fields: FieldSection, options?: SendHeadersOptions): void {
    this.#send({ type: "headers", fields });
    this.#sendPieces(options?.content ?? new Uint8Array(0));
    if (options?.end === true) {
      this.end();
    }
  }

  sendData(bytes: Uint8Array, options?: { readonly end?: boolean }): boolean {
    this.#sendPieces(bytes);
    if (options?.end === true) {
      this.end();
    }
    if (this.other.inboxBytes >= this.#window && this.#sending === "open") {
      this.#sending = "blocked";
    }
    return this.#sending === "open";
  }

  /** Content does not arrive as it was sent. */
  #sendPieces(bytes: Uint8Array): void {
    for (let start = 0; start < bytes.length; start += pieceBytes) {
      this.#send({ type: "data", bytes: bytes.slice(start, start + pieceBytes) });
    }
  }

  sendTrailers(fields: FieldSection): void {
    this.#send({ type: "trailers", fields });
    this.end();
  }

  end(): void {
    if (this.#sending !== "over") {
      this.#send({ type: "end" });
      this.#sending = "over";
      this.#onOver();
    }
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  cancel(code: bigint): void {
    const sending = this.#sending !== "over";
    const receiving = this.#receiving === "open";
    this.#finish();
    this.handler = inert;
    queueMicrotask(() => {
      if (sending) {
        this.other.handleReset(code);
      }
      if (receiving) {
        this.other.handleStop(code);
      }
    });
  }

  stopReceiving(code: bigint): void {
    if (this.#receiving === "open") {
      this.#receiving = "over";
      this.#inbox = [];
      this.inboxBytes = 0;
      this.#onOver();
      queueMicrotask(() => this.other.handleStop(code));
    }
  }

  fail(error: H3Error): void {
    if (!this.isOver) {
      this.#finish();
      this.handler.failed(error);
    }
  }

  handleReset(code: bigint): void {
    if (this.#receiving === "open" && this.handler !== inert) {
      this.fail(
        new H3Error(code, `the peer reset the stream (code 0x${code.toString(16)})`, {
          scope: "stream",
          origin: "peer",
          unprocessed: code === H3.REQUEST_REJECTED,
        }),
      );
    }
  }

  handleStop(code: bigint): void {
    if (this.#sending !== "over") {
      this.#sending = "over";
      this.#onOver();
      this.handler.stopped(code);
    }
  }

  #finish(): void {
    this.#sending = "over";
    this.#receiving = "over";
    this.#inbox = [];
    this.inboxBytes = 0;
    this.#onOver();
  }

  #send(item: Item): void {
    if (this.#sending !== "over" && this.other.#receiving === "open") {
      this.other.#inbox.push(item);
      this.other.inboxBytes += item.type === "data" ? item.bytes.length : 0;
      this.other.#schedule();
    }
  }

  #schedule(): void {
    if (!this.#scheduled) {
      this.#scheduled = true;
      queueMicrotask(() => {
        this.#scheduled = false;
        this.#deliver();
      });
    }
  }

  #deliver(): void {
    while (!this.#paused) {
      const item = this.#inbox.shift();
      if (item === undefined) {
        break;
      }
      switch (item.type) {
        case "headers":
          if (this.accept !== undefined) {
            this.handler = this.accept(item.fields);
          }
          this.handler.headers(item.fields);
          break;
        case "data":
          this.inboxBytes -= item.bytes.length;
          this.handler.data(item.bytes);
          break;
        case "trailers":
          this.handler.trailers(item.fields);
          break;
        case "end":
          this.#receiving = "over";
          this.#onOver();
          this.handler.end();
          break;
      }
    }
    if (this.other.#sending === "blocked" && this.inboxBytes < this.#window) {
      this.other.#sending = "open";
      this.other.handler.writable();
    }
  }
}

const inert: MessageHandler = {
  headers: () => {},
  informational: () => {},
  data: () => {},
  trailers: () => {},
  end: () => {},
  failed: () => {},
  writable: () => {},
  stopped: () => {},
};
