import type { Platform } from "../base/platform.ts";
import type { RequestStream } from "../http3/request-stream.ts";
import { JoinedChunk, smallBytes } from "./joined-chunk.ts";

/** The content of a message, from where it is made. */
export interface Chunks extends AsyncIterator<Uint8Array> {
  /** Nobody looks at this chunk any more: its memory can be given back. It may be empty afterwards. */
  spent?(chunk: Uint8Array): void;
}

/**
 * Sends chunks as the content of a message, no faster than the stream takes them, and with pauses in which others get
 * their turn. Small ones that come without a pause between them leave together, because to send a chunk costs more than
 * most messages cost otherwise. Does not end the message, and leaves the chunks' iterator alone when it is stopped.
 */
export class BodySender {
  readonly #stream: Pick<RequestStream, "copiesData" | "sendData">;
  readonly #chunks: Chunks;
  readonly #platform: Pick<Platform, "settled" | "soon">;
  #stopped = false;
  /** The stream has room, as far as we know. */
  #roomLeft = true;
  #wake: (() => void) | undefined;
  /** What has not been sent yet, in the hope that there is more at once. */
  #gathered: JoinedChunk | undefined;
  /** What is gathered will be sent when promises have settled. */
  #flushesSoon = false;

  constructor(
    stream: Pick<RequestStream, "copiesData" | "sendData">,
    chunks: Chunks,
    platform: Pick<Platform, "settled" | "soon">,
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
      if (!this.#roomLeft) {
        await this.#room();
      }
      if (this.#stopped) {
        return false;
      }
      if (chunk.done === true) {
        this.#flush();
        return true;
      }
      if (chunk.value.length === 0) {
        continue;
      }
      chunksOfTurn += 1;
      bytesOfTurn += chunk.value.length;
      this.#add(chunk.value);
      if (chunksOfTurn >= maxChunksOfTurn || bytesOfTurn >= maxBytesOfTurn) {
        this.#flush();
        await new Promise<void>((resume) => {
          this.#platform.soon(resume);
        });
      } else if (this.#roomLeft) {
        continue;
      }
      await this.#room();
      chunksOfTurn = 0;
      bytesOfTurn = 0;
      if (this.#stopped) {
        return false;
      }
    }
  }

  /** The stream has room again. */
  writable(): void {
    this.#roomLeft = true;
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Sends nothing from here on. */
  stop(): void {
    this.#stopped = true;
    this.#gathered = undefined;
    this.writable();
  }

  async #room(): Promise<void> {
    while (!this.#roomLeft) {
      await new Promise<void>((resume) => {
        this.#wake = resume;
      });
    }
  }

  #add(bytes: Uint8Array): void {
    if (this.#gathered?.add(bytes) === true) {
      return;
    }
    this.#flush();
    if (bytes.length >= smallBytes) {
      this.#roomLeft = this.#stream.sendData(bytes);
      if (this.#roomLeft && this.#stream.copiesData) {
        this.#chunks.spent?.(bytes);
      }
      return;
    }
    this.#gathered = new JoinedChunk(bytes);
    if (!this.#flushesSoon) {
      this.#flushesSoon = true;
      this.#platform.settled(this.#flushSettled);
    }
  }

  readonly #flushSettled = (): void => {
    this.#flushesSoon = false;
    this.#flush();
  };

  #flush(): void {
    const gathered = this.#gathered;
    if (gathered !== undefined) {
      this.#gathered = undefined;
      this.#roomLeft = this.#stream.sendData(gathered.bytes);
    }
  }
}

// A generator that never waits for anything would otherwise run, and nothing else in the process, until its stream's
// window is full: with small messages that takes seconds.
const maxChunksOfTurn = 128;
const maxBytesOfTurn = 65_536;
