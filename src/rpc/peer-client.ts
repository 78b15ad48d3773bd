import type { DescService } from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  createClient,
  type Transport,
} from "@connectrpc/connect";
import { type FollowingSignal, followSignal } from "./follow-signal.ts";

/**
 * Connect's `createClient`, with one difference: leaving a loop over responses early (`break`, `return`, a throw) ends
 * the call at once, with Canceled for the peer's handler. A client of `createClient` does not tell its transport; such a
 * call ends when the garbage collector finds that nobody reads it, or when its signal fires.
 *
 * ```ts
 * const eliza = createPeerClient(ElizaService, transport);
 * ```
 */
export function createPeerClient<T extends DescService>(
  service: T,
  transport: Transport,
): Client<T> {
  const client = createClient(service, transport);
  const calls = client as Record<string, StreamingCall>;
  for (const { methodKind, localName } of service.methods) {
    const call = calls[localName];
    if ((methodKind === "server_streaming" || methodKind === "bidi_streaming") && call) {
      calls[localName] = (input, options) => new Responses(call, input, options);
    }
  }
  return client;
}

type StreamingCall = (input: unknown, options?: CallOptions) => AsyncIterable<unknown>;

/** The responses of one call. Whoever leaves them fires the signal that the call was made with. */
class Responses implements AsyncIterableIterator<unknown> {
  readonly #messages: AsyncIterator<unknown>;
  readonly #leave = new AbortController();
  /** The caller's own signal. */
  readonly #caller: FollowingSignal | undefined;
  #over = false;

  constructor(call: StreamingCall, input: unknown, options: CallOptions | undefined) {
    const { signal } = this.#leave;
    if (options?.signal !== undefined) {
      const caller = followSignal(options.signal);
      const follow = (): void => this.#leave.abort(caller.signal.reason);
      if (caller.signal.aborted) {
        follow();
      } else {
        caller.signal.addEventListener("abort", follow, { once: true });
      }
      this.#caller = caller;
    }
    this.#messages = call(input, { ...options, signal })[Symbol.asyncIterator]();
  }

  async next(): Promise<IteratorResult<unknown>> {
    if (this.#over) {
      return { done: true, value: undefined };
    }
    try {
      const result = await this.#messages.next();
      if (result.done === true) {
        this.#end();
      }
      return result;
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  return(value?: unknown): Promise<IteratorResult<unknown>> {
    if (!this.#over) {
      this.#end();
      this.#leave.abort(new ConnectError("the responses were left unread", Code.Canceled));
      // The call fails with this, and nobody else may be there to see it.
      void this.#messages.next().catch(() => {});
    }
    return Promise.resolve({ done: true, value });
  }

  async throw(error: unknown): Promise<IteratorResult<unknown>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #end(): void {
    this.#over = true;
    this.#caller?.release();
  }
}
