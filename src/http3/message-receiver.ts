import type { ConnectionContext } from "./connection-context.ts";
import { FrameType, isHttp2FrameType } from "./frame.ts";
import { FrameReader } from "./frame-reader.ts";
import { connectionError, H3, type H3Error, streamError } from "./h3-error.ts";
import { MessageProgress } from "./message-progress.ts";
import type { DecodeOutcome } from "./qpack/qpack-decoder.ts";
import type { MessageHandler } from "./request-stream.ts";
import type { RequestStreamCore } from "./request-stream-core.ts";

/**
 * The half of a request stream that receives: makes events of a {@link MessageHandler} out of bytes. Faults of the peer,
 * and what a handler throws, are thrown; then nothing but `end` may be called.
 */
export class MessageReceiver {
  readonly #context: ConnectionContext;
  readonly #stream: RequestStreamCore;
  readonly #kind: "request" | "response";
  readonly #progress: MessageProgress;
  readonly #frames: FrameReader = new FrameReader();
  /** What the payload of the current frame is. */
  #frame: "none" | "content" | "section" | "skipped" = "none";
  /** The current frame, or the last one. */
  #isLarge = false;
  #open = true;
  #paused = false;
  #pausable = true;
  /** A section waits for the QPACK encoder stream. */
  #blocked = false;
  #processing = false;

  /** @param requestMethod of the request that a response answers */
  constructor(
    context: ConnectionContext,
    stream: RequestStreamCore,
    kind: "request" | "response",
    requestMethod = "",
  ) {
    this.#context = context;
    this.#stream = stream;
    this.#kind = kind;
    this.#progress = new MessageProgress(kind, requestMethod);
  }

  /** False when the message is complete or given up. */
  get open(): boolean {
    return this.#open;
  }

  get wantsBytes(): boolean {
    return this.#ready && !this.#processing;
  }

  /**
   * What a large frame has comes with nothing else behind it, and then the header of the next one alone: whoever takes such
   * pieces can give their memory back.
   */
  get readLimit(): number {
    return this.#isLarge ? this.#frames.left || headerBytes : Number.POSITIVE_INFINITY;
  }

  receive(bytes: Uint8Array): void {
    this.#frames.push(bytes);
    this.#process();
  }

  /** The peer has finished its half. */
  finished(): void {
    if (!this.#frames.atBoundary) {
      throw connectionError(H3.FRAME_ERROR, "stream ends inside of a frame (RFC 9114 §7.1)");
    }
    this.#progress.end();
    this.#open = false;
    this.#context.guard.sectionArrived(this.#stream);
    this.#handler.end();
  }

  pause(): void {
    this.#paused = this.#pausable;
  }

  resume(): void {
    this.#paused = false;
    this.#process();
  }

  /** What was paused goes on, and cannot be paused any more. */
  holdNothingBack(): void {
    this.#pausable = false;
    this.resume();
  }

  /** The section that was blocked can be read, or is too large. */
  unblocked(outcome: DecodeOutcome): void {
    this.#blocked = false;
    // Others were unblocked by the same bytes: their handlers, or a fault of theirs, may have made an end of this message.
    if (this.#open && !this.#context.over) {
      this.#section(outcome);
      this.#process();
    }
  }

  /** Nothing more is wanted. */
  end(): void {
    if (this.#open) {
      this.#open = false;
      this.#context.guard.partialSectionChanged(-this.#frames.keptBytes);
      this.#context.guard.sectionArrived(this.#stream);
      this.#frames.discard();
      if (this.#stream.id >= 0) {
        this.#context.cancelDecoding(this.#stream.id);
      }
    }
  }

  get #ready(): boolean {
    return this.#open && !this.#paused && !this.#blocked && !this.#context.over;
  }

  get #handler(): MessageHandler {
    return this.#stream.handler;
  }

  #process(): void {
    if (this.#processing) {
      return;
    }
    this.#processing = true;
    try {
      while (this.#ready && this.#step()) {}
    } finally {
      this.#processing = false;
    }
  }

  /** Goes on by a frame header or a piece of payload. False: more bytes have to arrive. */
  #step(): boolean {
    const frames = this.#frames;
    switch (this.#frame) {
      case "none":
        if (!frames.next()) {
          return false;
        }
        this.#begin(frames.type, frames.left);
        return true;
      case "content": {
        const piece = frames.piece();
        if (piece === undefined) {
          return false;
        }
        this.#frame = frames.left === 0 ? "none" : "content";
        this.#handler.data(piece);
        return true;
      }
      case "section":
        return this.#readSection();
      case "skipped":
        frames.skip();
        this.#frame = frames.left === 0 ? "none" : "skipped";
        return this.#frame === "none";
    }
  }

  /** A frame begins; which ones may, RFC 9114 §7 and §4.1 say. */
  #begin(type: number, length: number): void {
    this.#isLarge = length >= largeBytes;
    switch (type) {
      case FrameType.DATA:
        this.#progress.content(length);
        if (length === 0) {
          this.#context.guard.frameIgnored();
        } else {
          this.#frame = "content";
        }
        return;
      case FrameType.HEADERS:
        this.#progress.beginSection();
        if (length > this.#context.limits.maxFieldSectionSize) {
          throw tooLarge();
        }
        this.#frame = "section";
        return;
      case FrameType.PUSH_PROMISE:
        throw this.#kind === "response"
          ? connectionError(
              H3.ID_ERROR,
              "PUSH_PROMISE frame, but no push was allowed (RFC 9114 §7.2.5)",
            )
          : unexpected("PUSH_PROMISE frame from a client (RFC 9114 §7.2.5)");
      case FrameType.CANCEL_PUSH:
      case FrameType.SETTINGS:
      case FrameType.GOAWAY:
      case FrameType.MAX_PUSH_ID:
        throw unexpected(`frame of type ${type} on a request stream (RFC 9114 §7)`);
      default:
        if (isHttp2FrameType(type)) {
          throw unexpected(`frame of HTTP/2, type ${type} (RFC 9114 §7.2.8)`);
        }
        this.#context.guard.frameIgnored();
        this.#frame = length === 0 ? "none" : "skipped";
    }
  }

  #readSection(): boolean {
    const frames = this.#frames;
    const kept = frames.keptBytes;
    const bytes = frames.whole();
    if (!this.#context.guard.partialSectionChanged(frames.keptBytes - kept)) {
      throw streamError(H3.EXCESSIVE_LOAD, "too many field sections are on their way");
    }
    if (bytes === undefined) {
      this.#context.guard.sectionBegan(this.#stream);
      return false;
    }
    this.#frame = "none";
    const outcome = this.#context.decode(this.#stream.id, bytes);
    if (outcome.type === "blocked") {
      this.#blocked = true;
      this.#context.guard.sectionBegan(this.#stream);
    } else {
      this.#section(outcome);
    }
    return true;
  }

  #section(outcome: DecodeOutcome): void {
    this.#context.guard.sectionArrived(this.#stream);
    if (outcome.type !== "fields") {
      throw tooLarge();
    }
    const { fields } = outcome;
    switch (this.#progress.section(fields)) {
      case "informational":
        this.#handler.informational(fields);
        return;
      case "head":
        this.#context.guard.messageArrived();
        this.#stream.headArrived(fields);
        if (this.#open) {
          this.#handler.headers(fields);
        }
        return;
      case "trailers":
        this.#handler.trailers(fields);
        return;
    }
  }
}

/** Smaller frames are read as many at once as there are. */
const largeBytes = 16_384;
/** The header of a DATA frame from that to 1 GiB (RFC 9114 §7.1). What is left of a longer one is read next. */
const headerBytes = 5;

function tooLarge(): H3Error {
  return streamError(
    H3.EXCESSIVE_LOAD,
    "the peer's field section is larger than we take (RFC 9114 §4.2.2)",
  );
}

function unexpected(problem: string): H3Error {
  return connectionError(H3.FRAME_UNEXPECTED, problem);
}
