// Pieces of handlers and of request streams that tests on the echo service need again and again.

import type { ServiceImpl } from "@connectrpc/connect";
import { EchoService } from "../../gen/echo/v1/echo_pb.ts";
import { type Deferred, deferred } from "../../src/base/deferred.ts";

export { EchoService };

/** Does what the comments of the service say. */
export const echoImplementation: ServiceImpl<typeof EchoService> = {
  echo: ({ message }) => ({ message }),
  async *repeat({ message, count }) {
    for (let number = 1; number <= count; number++) {
      yield { message, number };
    }
  },
  async collect(requests) {
    const messages: string[] = [];
    for await (const { message } of requests) {
      messages.push(message);
    }
    return { messages };
  },
  async *converse(requests) {
    for await (const { message } of requests) {
      yield { message };
    }
  },
};

/** Messages that a test sends one by one. */
export class Outbox implements AsyncIterableIterator<{ message: string }> {
  /** Resolves when the reader wants no more. */
  readonly left: Deferred<void> = deferred();
  readonly #queued: (string | undefined)[] = [];
  #wanted: Deferred<void> | undefined;

  send(message: string): void {
    this.#queued.push(message);
    this.#wanted?.resolve();
  }

  finish(): void {
    this.#queued.push(undefined);
    this.#wanted?.resolve();
  }

  async next(): Promise<IteratorResult<{ message: string }>> {
    while (this.#queued.length === 0) {
      this.#wanted = deferred();
      await this.#wanted.promise;
    }
    const message = this.#queued.shift();
    return message === undefined
      ? { done: true, value: undefined }
      : { done: false, value: { message } };
  }

  return(): Promise<IteratorResult<{ message: string }>> {
    this.left.resolve();
    this.finish();
    return Promise.resolve({ done: true, value: undefined });
  }

  throw(): Promise<IteratorResult<{ message: string }>> {
    return this.return();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

/** Resolves with the reason when the signal fires. */
export function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve(signal.reason);
    } else {
      signal.addEventListener("abort", () => resolve(signal.reason), { once: true });
    }
  });
}
