import { createHash } from "node:crypto";
import type { TestRequest } from "../../gen/connectquic/test/v1/test_pb.ts";

/** The request messages of a call, taken one by one, with a digest of what was taken. */
export class RequestInbox {
  readonly #requests: AsyncIterator<TestRequest>;
  readonly #hash = createHash("sha256");
  #first: IteratorResult<TestRequest> | undefined;
  #messages = 0;
  #bytes = 0;

  constructor(requests: AsyncIterable<TestRequest>) {
    this.#requests = requests[Symbol.asyncIterator]();
  }

  /** Looks at the first message before any was taken; undefined when there is none. */
  async peek(): Promise<TestRequest | undefined> {
    this.#first ??= await this.#requests.next();
    return this.#first.done === true ? undefined : this.#first.value;
  }

  /** Undefined: that was the last one. */
  async take(): Promise<TestRequest | undefined> {
    const next = this.#first ?? (await this.#requests.next());
    this.#first = next.done === true ? next : undefined;
    if (next.done === true) {
      return undefined;
    }
    this.#messages++;
    this.#bytes += next.value.data.length;
    this.#hash.update(next.value.data);
    return next.value;
  }

  /** Takes `count` messages; with 0 all to the end. Ends early when the messages do. */
  async *takeMany(count: number): AsyncGenerator<TestRequest, void> {
    for (let i = 0; count === 0 || i < count; i++) {
      const message = await this.take();
      if (message === undefined) {
        return;
      }
      yield message;
    }
  }

  /** Leaves the rest unread, as `break` in a `for await` does. */
  async leave(): Promise<void> {
    await this.#requests.return?.();
  }

  /** How many messages were taken so far. */
  get messages(): number {
    return this.#messages;
  }

  /** What was taken so far. */
  get received(): { messages: number; bytes: bigint; digest: string } {
    return {
      messages: this.#messages,
      bytes: BigInt(this.#bytes),
      digest: this.#hash.copy().digest("hex"),
    };
  }
}
