/** How the messages of a request stand in its content. */
export type Framing = "whole" | "enveloped";

/**
 * Counts how much of a message that is not complete a request holds. "whole": all content is one message. "enveloped":
 * each message comes behind a byte of flags and four bytes of length, as in gRPC, gRPC-Web and Connect's streams.
 */
export class MessageMeter {
  readonly #framing: Framing;
  #held = 0;
  /** Bytes of the message that are still to come; undefined inside of its envelope. */
  #left: number | undefined;
  #envelopeBytes = 0;
  #length = 0;

  constructor(framing: Framing) {
    this.#framing = framing;
  }

  /** More content has arrived; tells by how much what is held has changed. */
  add(bytes: Uint8Array): number {
    const before = this.#held;
    if (this.#framing === "whole") {
      this.#held += bytes.length;
    } else {
      for (let offset = 0; offset < bytes.length; ) {
        offset +=
          this.#left === undefined
            ? this.#envelope(bytes, offset)
            : this.#message(bytes.length - offset);
      }
    }
    return this.#held - before;
  }

  #envelope(bytes: Uint8Array, offset: number): number {
    if (this.#envelopeBytes > 0) {
      this.#length = this.#length * 256 + (bytes[offset] ?? 0);
    }
    this.#envelopeBytes += 1;
    this.#held += 1;
    if (this.#envelopeBytes === envelopeLength) {
      this.#left = this.#length;
      this.#envelopeBytes = 0;
      this.#length = 0;
      this.#endIfComplete();
    }
    return 1;
  }

  #message(available: number): number {
    const taken = Math.min(available, this.#left ?? 0);
    this.#left = (this.#left ?? 0) - taken;
    this.#held += taken;
    this.#endIfComplete();
    return taken;
  }

  #endIfComplete(): void {
    if (this.#left === 0) {
      this.#left = undefined;
      this.#held = 0;
    }
  }
}

const envelopeLength = 5;
