import { connectionError, H3, streamError } from "./h3-error.ts";
import { checkRequestHead, checkResponseHead, checkTrailers, malformed } from "./message-rules.ts";
import type { FieldSection } from "./qpack/field.ts";

export type SectionKind = "informational" | "head" | "trailers";

/**
 * How far an incoming message has come: which frame may be next, and how much content it has (RFC 9114 §4.1).
 * Faults are thrown as H3Error.
 */
export class MessageProgress {
  readonly #kind: "request" | "response";
  #phase: "head" | "content" | "trailers" = "head";
  /** Method of the request, ours or theirs. */
  #method: string;
  #interim = false;
  /** What content there has to be; undefined when anything will do. */
  #expected: number | undefined;
  #received = 0;
  #tunnel = false;

  /** @param requestMethod of the request that a response answers */
  constructor(kind: "request" | "response", requestMethod = "") {
    this.#kind = kind;
    this.#method = requestMethod;
  }

  /** False until the final header section was there. */
  get hasHead(): boolean {
    return this.#phase !== "head";
  }

  /** A HEADERS frame begins. */
  beginSection(): void {
    if (this.#phase === "trailers" || this.#tunnel) {
      throw unexpected(`HEADERS frame after the ${this.#tunnel ? "CONNECT" : "trailers"}`);
    }
  }

  /** The field section of a HEADERS frame. */
  section(fields: FieldSection): SectionKind {
    if (this.#phase === "content") {
      checkTrailers(fields);
      this.#phase = "trailers";
      return "trailers";
    }
    if (this.#kind === "request") {
      const head = checkRequestHead(fields);
      this.#method = head.method;
      this.#tunnel = head.method === "CONNECT";
      this.#expected = this.#tunnel ? undefined : head.contentLength;
    } else {
      const { status, contentLength } = checkResponseHead(fields);
      if (status < 200) {
        this.#interim = true;
        return "informational";
      }
      this.#tunnel = this.#method === "CONNECT" && status < 300;
      const empty = this.#method === "HEAD" || status === 204 || status === 304;
      this.#expected = this.#tunnel ? undefined : empty ? 0 : contentLength;
    }
    this.#phase = "content";
    return "head";
  }

  /** A DATA frame with `length` bytes begins. */
  content(length: number): void {
    if (this.#phase !== "content") {
      throw unexpected(
        `DATA frame ${this.#phase === "head" ? "before the header section" : "after the trailers"}`,
      );
    }
    this.#received += length;
    if (this.#expected !== undefined && this.#received > this.#expected) {
      throw malformed(`more content than the ${this.#expected} bytes announced`, "4.1.2");
    }
  }

  /** The stream ended between two frames. */
  end(): void {
    if (this.#phase === "head") {
      if (this.#kind === "request") {
        throw streamError(
          H3.REQUEST_INCOMPLETE,
          "the request ended before its header section (RFC 9114 §4.1)",
        );
      }
      throw malformed(`no ${this.#interim ? "final " : ""}response on the stream`, "4.1");
    }
    if (this.#expected !== undefined && this.#received !== this.#expected) {
      throw malformed(
        `${this.#received} bytes of content, ${this.#expected} were announced`,
        "4.1.2",
      );
    }
  }
}

function unexpected(problem: string): Error {
  return connectionError(H3.FRAME_UNEXPECTED, `${problem} (RFC 9114 §4.1)`);
}
