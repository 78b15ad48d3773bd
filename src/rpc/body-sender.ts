import type { Platform } from "../base/platform.ts";
import type { RequestStream } from "../http3/request-stream.ts";

/**
 * Sends chunks as the content of a message, no faster than the stream takes them, and with pauses in which others get
 * their turn. Does not end the message, and leaves the chunks' iterator alone when it is stopped.
 */
export class BodySender {
  readonly #stream: Pick<RequestStream, "sendData">;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #platform: Pick<Platform, "soon">;
  #stopped = false;
  #wake: (() => void) | undefined;

  constructor(
    stream: Pick<RequestStream, "sendData">,
    chunks: AsyncIterator<Uint8Array>,
    platform: Pick<Platform, "soon">,
  ) {
    this.#stream = stream;
    this.#chunks = chunks;
    this.#platform = platform;
  }

  /** Resolves with true when everything was handed to the stream, with false when it was stopped. */
  async run(): Promise<boolean> {
    let chunksOfTurn = 0;
    let bytesOfTurn = 0;
    for (;;) {
      const chunk = await this.#chunks.next();
      if (this.#stopped) {
        return false;
      }
      if (chunk.done === true) {
        return true;
      }
      if (chunk.value.length > 0) {
        const roomLeft = this.#stream.sendData(chunk.value);
        chunksOfTurn += 1;
        bytesOfTurn += chunk.value.length;
        if (!roomLeft) {
          await new Promise<void>((resume) => {
            this.#wake = resume;
          });
        } else if (chunksOfTurn >= maxChunksOfTurn || bytesOfTurn >= maxBytesOfTurn) {
          await new Promise<void>((resume) => {
            this.#platform.soon(resume);
          });
        } else {
          continue;
        }
        chunksOfTurn = 0;
        bytesOfTurn = 0;
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

// A generator that never waits for anything would otherwise run, and nothing else in the process, until its stream's
// window is full: with small messages that takes seconds.
const maxChunksOfTurn = 32;
const maxBytesOfTurn = 65_536;
