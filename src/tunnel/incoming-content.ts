import { Code, ConnectError } from "@connectrpc/connect";
import { JoinedChunk } from "../rpc/joined-chunk.ts";
import { maxWaitingMessages } from "./tunnel-limits.ts";

export interface IncomingContentOptions {
  /** What the peer may send before its reader takes it. Bytes; undefined without flow control. */
  readonly windowBytes: number | undefined;
  /** What may wait without flow control. Bytes. */
  readonly unpacedBytes: number;
  /** The code for content that breaks the protocol. */
  readonly fault: Code;
}

/**
 * The messages of one stream from their arrival until a reader takes them. What comes out is content as gRPC has it: each
 * message behind an envelope, which is a zero and the size in four bytes.
 */
export class IncomingContent {
  readonly #options: IncomingContentOptions;
  readonly #waiting: Waiting[] = [];
  #waitingMessages = 0;
  /** What the message that came last still lacks. Bytes. */
  #lacking = 0;
  /** What the peer may still send. Bytes. */
  #window: number;
  /** What was read since the peer was last given leave for more. Bytes. */
  #read = 0;

  constructor(options: IncomingContentOptions) {
    this.#options = options;
    this.#window = options.windowBytes ?? options.unpacedBytes;
  }

  /** A message begins. Takes over `data`. Throws ConnectError for what breaks the protocol or a limit. */
  begin(size: number, data: Uint8Array): void {
    if (this.#lacking > 0) {
      throw this.#fault(`a message began while the last one lacked ${this.#lacking} bytes`);
    }
    if (data.length > size) {
      throw this.#fault(`a message of ${size} bytes came with ${data.length}`);
    }
    if (this.#waitingMessages === maxWaitingMessages) {
      throw new ConnectError(
        `more than ${maxWaitingMessages} messages wait for their reader`,
        Code.ResourceExhausted,
      );
    }
    this.#charge(data.length);
    this.#lacking = size - data.length;
    this.#push(withEnvelope(size, data), data.length, 1);
  }

  /** A message goes on. Takes over `data`. Throws as {@link begin} does. */
  more(data: Uint8Array): void {
    if (data.length > this.#lacking) {
      throw this.#fault(`${data.length} bytes came of a message that lacked ${this.#lacking}`);
    }
    if (data.length > 0) {
      this.#charge(data.length);
      this.#lacking -= data.length;
      this.#push(data, data.length, 0);
    }
  }

  /** No more will come. Throws when the last message is not complete. */
  end(): void {
    if (this.#lacking > 0) {
      throw this.#fault(`the last message lacks ${this.#lacking} bytes`);
    }
  }

  /** Takes what has waited longest; undefined when nothing waits. */
  read(): Uint8Array | undefined {
    const next = this.#waiting.shift();
    if (next === undefined) {
      return undefined;
    }
    this.#waitingMessages -= next.messages;
    if (this.#options.windowBytes === undefined) {
      this.#window += next.contentBytes;
    } else {
      this.#read += next.contentBytes;
    }
    return next.chunk.bytes;
  }

  /** How much more the peer may be told that it can send; 0 when that is not worth a frame yet. Bytes. */
  grant(): number {
    const bytes = this.#read;
    if (bytes === 0 || bytes < (this.#options.windowBytes ?? 0) / 2) {
      return 0;
    }
    this.#read = 0;
    this.#window += bytes;
    return bytes;
  }

  clear(): void {
    this.#waiting.length = 0;
  }

  #charge(bytes: number): void {
    if (bytes > this.#window) {
      throw new ConnectError(
        this.#options.windowBytes === undefined
          ? `more than ${this.#options.unpacedBytes} bytes wait for their reader, without flow control`
          : `${bytes} bytes came while the window had ${this.#window}`,
        Code.ResourceExhausted,
      );
    }
    this.#window -= bytes;
  }

  #push(bytes: Uint8Array, contentBytes: number, messages: number): void {
    this.#waitingMessages += messages;
    const last = this.#waiting.at(-1);
    if (last?.chunk.add(bytes) === true) {
      last.contentBytes += contentBytes;
      last.messages += messages;
    } else {
      this.#waiting.push({ chunk: new JoinedChunk(bytes), contentBytes, messages });
    }
  }

  #fault(message: string): ConnectError {
    return new ConnectError(message, this.#options.fault);
  }
}

interface Waiting {
  readonly chunk: JoinedChunk;
  /** Without envelopes. */
  contentBytes: number;
  /** That begin in it. */
  messages: number;
}

function withEnvelope(size: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(envelopeBytes + data.length);
  new DataView(bytes.buffer).setUint32(1, size);
  bytes.set(data, envelopeBytes);
  return bytes;
}

const envelopeBytes = 5;
