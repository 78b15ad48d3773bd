import { maxPieceBytes, maxWindowBytes } from "./tunnel-limits.ts";

/** What goes into one frame. */
export interface Piece {
  /** It begins a message. */
  readonly first: boolean;
  /** Of the whole message. Bytes. */
  readonly size: number;
  readonly data: Uint8Array;
}

/** The messages of one stream on their way out, cut into what the peer's window has room for. */
export class OutgoingContent {
  #window: number;
  readonly #messages: Uint8Array[] = [];
  /** Bytes of the first message that are gone. */
  #sent = 0;
  #cost = 0;

  /** @param window what the peer has leave for; infinite without flow control */
  constructor(window: number) {
    this.#window = window;
  }

  /** Whoever adds messages should wait. */
  get full(): boolean {
    return this.#cost >= maxQueuedBytes;
  }

  get empty(): boolean {
    return this.#messages.length === 0;
  }

  /** Borrows `message` until it is sent. */
  push(message: Uint8Array): void {
    this.#messages.push(message);
    this.#cost += message.length + messageCost;
  }

  /** The next piece, a view of its message; undefined when there is none, or no window for it. */
  next(): Piece | undefined {
    const message = this.#messages[0];
    if (message === undefined || (this.#window === 0 && message.length > 0)) {
      return undefined;
    }
    const end = Math.min(message.length, this.#sent + Math.min(this.#window, maxPieceBytes));
    const first = this.#sent === 0;
    const data = message.subarray(this.#sent, end);
    this.#window -= data.length;
    this.#sent = end;
    if (end === message.length) {
      this.#messages.shift();
      this.#sent = 0;
      this.#cost -= message.length + messageCost;
    }
    return { first, size: message.length, data };
  }

  /** The peer gives leave for more. False when that is more than a window can be. */
  grant(bytes: number): boolean {
    this.#window += bytes;
    return this.#window === Number.POSITIVE_INFINITY || this.#window <= maxWindowBytes;
  }

  clear(): void {
    this.#messages.length = 0;
    this.#sent = 0;
    this.#cost = 0;
  }
}

/** Content that waits for its turn before whoever produces it is held up. */
const maxQueuedBytes = 65_536;

/** What a message counts besides its bytes. */
const messageCost = 64;
