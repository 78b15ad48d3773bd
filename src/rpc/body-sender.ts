import type { RequestStream } from "../http3/request-stream.ts";

/**
 * Sends chunks as the content of a message, no faster than the stream takes them. Does not end the message, and leaves
 * the chunks' iterator alone when it is stopped.
 */
export class BodySender {
  readonly #stream: Pick<RequestStream, "sendData">;
  readonly #chunks: AsyncIterator<Uint8Array>;
  #stopped = false;
  #wake: (() => void) | undefined;

  constructor(stream: Pick<RequestStream, "sendData">, chunks: AsyncIterator<Uint8Array>) {
    this.#stream = stream;
    this.#chunks = chunks;
  }

  /** Resolves with true when everything was handed to the stream, with false when it was stopped. */
  async run(): Promise<boolean> {
    for (;;) {
      const chunk = await this.#chunks.next();
      if (this.#stopped) {
        return false;
      }
      if (chunk.done === true) {
        return true;
      }
      if (chunk.value.length > 0 && !this.#stream.sendData(chunk.value)) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        if (this.#stopped) {
          return false;
        }
      }
    }
  }

  /** The stream has room again. */
  writable(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Sends nothing from here on. */
  stop(): void {
    this.#stopped = true;
    this.writable();
  }
}
