import type { ConnectionContext } from "./connection-context.ts";
import { FrameType, writeFrameHeader } from "./frame.ts";
import { H3, H3Error } from "./h3-error.ts";
import { callerMistake, checkResponseHead, checkTrailers } from "./message-rules.ts";
import { type FieldSection, fieldSectionSize } from "./qpack/field.ts";
import type { SendHeadersOptions } from "./request-stream.ts";
import type { StreamPort } from "./stream-port.ts";

/**
 * Content up to this size is copied behind the frame headers before it, so that all leaves in one write: a copy of 4 KiB
 * costs less than one more call into the engine.
 */
const coalescedBytes = 4_096;

/** The half of a request stream that sends. Calls at the wrong time and invalid sections are TypeErrors. */
export class MessageSender {
  readonly #context: ConnectionContext;
  readonly #kind: "request" | "response";
  /** Told when a section is larger than the peer takes: nothing of it was sent. */
  readonly #tooLarge: (error: H3Error) => void;
  #port: StreamPort | undefined;
  /** What was sent while there was no stream. */
  #waiting: (() => void)[] = [];
  /** "ended": the caller has sent everything. "over": nothing more can be sent. */
  #phase: "head" | "content" | "ended" | "over" = "head";
  #stalled = false;

  constructor(
    context: ConnectionContext,
    kind: "request" | "response",
    tooLarge: (error: H3Error) => void,
  ) {
    this.#context = context;
    this.#kind = kind;
    this.#tooLarge = tooLarge;
  }

  /** The caller has sent everything. */
  get ended(): boolean {
    return this.#phase === "ended";
  }

  /** Nothing more can be sent, or everything has reached the peer. */
  get over(): boolean {
    return this.#phase === "over";
  }

  /** Nothing more is to be written to the stream. */
  get finished(): boolean {
    return (
      this.#phase === "over" ||
      (this.#phase === "ended" && this.#port !== undefined && this.#port.backlog === 0)
    );
  }

  /** There is a stream now. What waited for it is sent. */
  open(port: StreamPort): void {
    this.#port = port;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const send of waiting) {
      send();
    }
  }

  headers(fields: FieldSection, options: SendHeadersOptions = {}): void {
    if (this.#phase === "over") {
      return;
    }
    if (this.#phase !== "head") {
      throw new TypeError("cannot send header section: the message has one");
    }
    const { end = false, content } = options;
    if (this.#isInterim(fields)) {
      if (end || content !== undefined) {
        throw new TypeError("cannot send interim response: it has content or ends the message");
      }
    } else {
      this.#phase = end ? "ended" : "content";
    }
    this.#sendSection(fields, content, end);
  }

  /** False when not all was written at once. */
  data(bytes: Uint8Array, end: boolean): boolean {
    if (this.#phase === "over") {
      return true;
    }
    this.#needContentPhase("content");
    if (end) {
      this.#phase = "ended";
    }
    const written = this.#sendData(bytes, end);
    this.#stalled = !written && !end;
    return written;
  }

  trailers(fields: FieldSection): void {
    if (this.#phase === "over") {
      return;
    }
    this.#needContentPhase("trailers");
    callerMistake(() => checkTrailers(fields));
    this.#phase = "ended";
    this.#sendSection(fields, undefined, true);
  }

  end(): void {
    if (this.#phase === "over" || this.#phase === "ended") {
      return;
    }
    this.#needContentPhase("end");
    this.#phase = "ended";
    this.#sendData(noBytes, true);
  }

  /** Gives up what was not delivered yet, also when all was sent. */
  abandon(code: bigint): void {
    if (this.#phase !== "over") {
      this.close();
      this.#port?.reset(code);
    }
  }

  /** The sending half is over. */
  close(): void {
    this.#phase = "over";
    this.#waiting = [];
  }

  /** Everything that waited was written. True when the caller waits for that. */
  takeStalled(): boolean {
    const stalled = this.#stalled;
    this.#stalled = false;
    return stalled && this.#phase === "content";
  }

  #isInterim(fields: FieldSection): boolean {
    // The head of a request was checked before its stream was made.
    return this.#kind === "response" && callerMistake(() => checkResponseHead(fields)).status < 200;
  }

  #needContentPhase(what: string): void {
    if (this.#phase !== "content") {
      const why = this.#phase === "head" ? "no header section was sent" : "the message has ended";
      throw new TypeError(`cannot send ${what}: ${why}`);
    }
  }

  #sendSection(fields: FieldSection, content: Uint8Array | undefined, fin: boolean): void {
    const port = this.#port;
    if (port === undefined) {
      this.#waiting.push(() => this.#sendSection(fields, content, fin));
      return;
    }
    const { maxFieldSectionSize } = this.#context.peerSettings;
    if (maxFieldSectionSize !== Number.POSITIVE_INFINITY) {
      const size = fieldSectionSize(fields);
      if (size > maxFieldSectionSize) {
        this.abandon(H3.REQUEST_CANCELLED);
        this.#tooLarge(sectionTooLarge(size, maxFieldSectionSize));
        return;
      }
    }
    const section = this.#context.encode(port.id, fields);
    const out = this.#context.scratch;
    out.clear();
    writeFrameHeader(out, FrameType.HEADERS, section.length);
    out.bytes(section);
    if (content === undefined || content.length === 0) {
      port.writeBorrowed(out.finish(), fin);
    } else {
      this.#writeContent(port, content, fin);
    }
  }

  #sendData(bytes: Uint8Array, fin: boolean): boolean {
    const port = this.#port;
    if (port === undefined) {
      this.#waiting.push(() => this.#sendData(bytes, fin));
      return false;
    }
    if (bytes.length === 0) {
      return fin ? port.write(noBytes, true) : port.backlog === 0;
    }
    this.#context.scratch.clear();
    return this.#writeContent(port, bytes, fin);
  }

  /** A DATA frame behind what is in the scratch writer. */
  #writeContent(port: StreamPort, content: Uint8Array, fin: boolean): boolean {
    const out = this.#context.scratch;
    writeFrameHeader(out, FrameType.DATA, content.length);
    if (content.length <= coalescedBytes) {
      return port.writeBorrowed(out.bytes(content).finish(), fin);
    }
    port.writeBorrowed(out.finish(), false);
    return port.write(content, fin);
  }
}

const noBytes = new Uint8Array(0);

function sectionTooLarge(size: number, limit: number): H3Error {
  return new H3Error(
    H3.EXCESSIVE_LOAD,
    `cannot send field section of ${size} bytes: the peer takes ${limit} (RFC 9114 §4.2.2)`,
    { scope: "stream", origin: "local" },
  );
}
