import type {
  DescMessage,
  DescMethod,
  DescMethodStreaming,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  Code,
  ConnectError,
  createClient,
  type StreamResponse,
  type Transport,
} from "@connectrpc/connect";
import { createAsyncIterable } from "@connectrpc/connect/protocol";
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
  const calls = client as Record<string, unknown>;
  for (const method of service.methods) {
    if (method.methodKind === "server_streaming") {
      calls[method.localName] = (input: MessageInit, options?: CallOptions) =>
        new Responses(transport, method, createAsyncIterable([input]), options);
    } else if (method.methodKind === "bidi_streaming") {
      calls[method.localName] = (input: AsyncIterable<MessageInit>, options?: CallOptions) =>
        new Responses(transport, method, input, options);
    }
  }
  return client;
}

type MessageInit = MessageInitShape<DescMessage>;
type Message = MessageShape<DescMessage>;

/** The responses of one call. Whoever leaves them fires the signal that the call was made with. */
class Responses implements AsyncIterableIterator<Message> {
  readonly #response: Promise<StreamResponse>;
  readonly #options: CallOptions;
  readonly #leave = new AbortController();
  /** The caller's own signal. */
  readonly #caller: FollowingSignal | undefined;
  #messages: AsyncIterator<Message> | undefined;
  #over = false;

  constructor(
    transport: Transport,
    method: DescMethod,
    input: AsyncIterable<MessageInit>,
    options: CallOptions = {},
  ) {
    const { headers, timeoutMs, contextValues } = options;
    const { signal } = this.#leave;
    if (options.signal !== undefined) {
      const caller = followSignal(options.signal);
      const follow = (): void => this.#leave.abort(caller.signal.reason);
      if (caller.signal.aborted) {
        follow();
      } else {
        caller.signal.addEventListener("abort", follow, { once: true });
      }
      this.#caller = caller;
    }
    this.#options = options;
    const streaming = method as DescMethodStreaming;
    this.#response = transport.stream(streaming, signal, timeoutMs, headers, input, contextValues);
    // Whoever reads is told; there may be nobody.
    this.#response.catch(() => {});
  }

  async next(): Promise<IteratorResult<Message>> {
    if (this.#over) {
      return finished;
    }
    try {
      const messages = this.#messages ?? (await this.#open());
      const result = await messages.next();
      if (result.done === true && !this.#over) {
        this.#end();
        this.#options.onTrailer?.((await this.#response).trailer);
      }
      return result;
    } catch (error) {
      this.#end();
      throw error;
    }
  }

  return(value?: unknown): Promise<IteratorResult<Message>> {
    if (!this.#over) {
      this.#end();
      this.#leave.abort(new ConnectError("the responses were left unread", Code.Canceled));
    }
    return Promise.resolve({ done: true, value });
  }

  async throw(error: unknown): Promise<IteratorResult<Message>> {
    await this.return();
    throw error;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async #open(): Promise<AsyncIterator<Message>> {
    const { header, message } = await this.#response;
    if (this.#messages === undefined) {
      this.#messages = message[Symbol.asyncIterator]();
      this.#options.onHeader?.(header);
    }
    return this.#messages;
  }

  #end(): void {
    this.#over = true;
    this.#caller?.release();
  }
}

const finished: IteratorReturnResult<undefined> = { done: true, value: undefined };
