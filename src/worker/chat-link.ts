import { Code, ConnectError, type Transport } from "@connectrpc/connect";
import { AsyncQueue } from "../base/async-queue.ts";
import { deferred } from "../base/deferred.ts";
import { MessageGate } from "./message-gate.ts";
import { maxTextBytes, maxWaitingMessages } from "./worker-limits.ts";

/** A conversation with a peer, whoever began it. */
export class ChatLink {
  readonly peerId: string;
  /** Calls to the peer. */
  readonly transport: Transport;
  readonly #ended = deferred<void>();
  /** Resolves when it has ended. */
  readonly ended: Promise<void> = this.#ended.promise;
  readonly #waiting = new AsyncQueue<string>();
  readonly #gate: MessageGate;
  #problem: string | undefined;

  constructor(peerId: string, transport: Transport, now: () => number) {
    this.peerId = peerId;
    this.transport = transport;
    this.#gate = new MessageGate(now);
  }

  /** Why it has ended, for people; undefined while it goes on. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Throws a ConnectError for a text that cannot be sent, or for a peer that does not read. */
  say(text: string): void {
    checkText(text, maxTextBytes);
    if (this.#waiting.size >= maxWaitingMessages) {
      throw new ConnectError(
        `the peer does not read: ${maxWaitingMessages} messages wait`,
        Code.ResourceExhausted,
      );
    }
    this.#waiting.push(text);
  }

  /** A text of the peer. Throws a ConnectError for one that is out of bounds. */
  hear(text: string): string {
    checkText(text, maxTextBytes);
    if (!this.#gate.admits()) {
      throw new ConnectError("too many messages at once", Code.ResourceExhausted);
    }
    return text;
  }

  /** What was said, until the end. */
  async *texts(): AsyncGenerator<string, void> {
    for (;;) {
      const text = await this.#waiting.next();
      if (text === undefined) {
        return;
      }
      yield text;
    }
  }

  /** No more is said. The first `problem` counts. */
  end(problem: string): void {
    this.#problem ??= problem;
    this.#waiting.end();
    this.#ended.resolve();
  }
}

/** Throws a ConnectError InvalidArgument for an empty text, and one above `maxBytes`. */
export function checkText(text: string, maxBytes: number): void {
  const bytes = new TextEncoder().encode(text).length;
  if (bytes === 0 || bytes > maxBytes) {
    throw new ConnectError(
      bytes === 0 ? "the message is empty" : `the message has ${bytes} bytes: at most ${maxBytes}`,
      Code.InvalidArgument,
    );
  }
}
