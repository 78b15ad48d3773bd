import { PlainEnvelopes } from "./plain-envelopes.ts";

/** A stream that messages are sent on. */
export interface MessageSink {
  readonly full: boolean;
  send(message: Uint8Array): void;
}

/** Sends the messages of a body, no faster than their stream takes them. */
export class MessageSender {
  readonly #sink: MessageSink;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #state: "sending" | "done" | "stopped" = "sending";
  #wake: (() => void) | undefined;

  constructor(sink: MessageSink, chunks: AsyncIterable<Uint8Array>) {
    this.#sink = sink;
    this.#chunks = chunks[Symbol.asyncIterator]();
  }

  /** True when everything was handed over, false when it was stopped. Rejects with what the body throws. */
  async run(): Promise<boolean> {
    const splitter = new PlainEnvelopes();
    try {
      for (;;) {
        const chunk = await this.#chunks.next();
        if (this.#state === "stopped") {
          return false;
        }
        if (chunk.done === true) {
          this.#state = "done";
          return true;
        }
        for (const message of splitter.push(chunk.value)) {
          this.#sink.send(message);
        }
        if (this.#sink.full) {
          await new Promise<void>((resume) => {
            this.#wake = resume;
          });
          if (this.#stopped) {
            return false;
          }
        }
      }
    } catch (error) {
      if (this.#stopped) {
        return false;
      }
      this.#state = "done";
      throw error;
    }
  }

  /** The stream has room again. */
  writable(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Sends nothing from here on, and tells the body so: why, if it was cut short. */
  stop(error?: unknown): void {
    if (this.#state !== "sending") {
      return;
    }
    this.#state = "stopped";
    this.writable();
    if (error !== undefined) {
      void this.#chunks.throw?.(error).catch(() => {});
    }
    void this.#chunks.return?.().catch(() => {});
  }

  get #stopped(): boolean {
    return this.#state === "stopped";
  }
}
