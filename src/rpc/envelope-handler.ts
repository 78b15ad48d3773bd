import { create, type DescMessage, type DescMethod, type MessageShape } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouterOptions,
  createContextValues,
  createHandlerContext,
  type HandlerContext,
} from "@connectrpc/connect";
import {
  type Compression,
  compressionNegotiate,
  createAsyncIterable,
  createMethodSerializationLookup,
  envelopeCompress,
  type UniversalHandlerFn,
  type UniversalServerRequest,
  uResponseOk,
  validateUniversalHandlerOptions,
} from "@connectrpc/connect/protocol";
import { createEndStreamSerialization, endStreamFlag } from "@connectrpc/connect/protocol-connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { releaseLarge } from "../base/release.ts";
import { type CallScope, callScopeKey } from "./call-scope.ts";
import { EnvelopeWriter } from "./envelope-writer.ts";
import { MessageReader } from "./message-reader.ts";
import { servedProtocol } from "./served-protocol.ts";
import { type SharedEncodings, sharedEncodings } from "./shared-message.ts";

type Message = MessageShape<DescMessage>;
type EndingContext = ReturnType<typeof createHandlerContext>;
type Implementation = (request: unknown, context: HandlerContext) => unknown;

/**
 * The short way of a streaming method in gRPC and the Connect protocol: as `handle`, which connect-es has made for the
 * method, without the chains of generators between the content and the implementation. Requests of other protocols, and
 * those that are to be refused before their content is looked at, go to `handle`. Undefined where somebody could see the
 * difference, as interceptors do.
 */
export function envelopeHandler(
  method: DescMethod,
  implementation: unknown,
  handlers: ConnectRouterOptions,
  handle: UniversalHandlerFn,
): UniversalHandlerFn | undefined {
  const options = validateUniversalHandlerOptions(handlers);
  if (
    method.methodKind === "unary" ||
    typeof implementation !== "function" ||
    options.interceptors.length > 0 ||
    options.requireConnectProtocolHeader ||
    options.shutdownSignal !== undefined
  ) {
    return undefined;
  }
  const { acceptCompression, binaryOptions, compressMinBytes, jsonOptions, maxTimeoutMs } = options;
  const lookup = createMethodSerializationLookup(method, binaryOptions, jsonOptions, options);
  const connectEnd = createEndStreamSerialization(jsonOptions);
  const run = implementation as Implementation;
  const served = { connect: handlers.connect !== false, grpc: handlers.grpc !== false };
  return async (request) => {
    const { contextValues = createContextValues(), header } = request;
    const scope = contextValues.get(callScopeKey);
    const contentType = header.get("content-type") ?? "";
    const found = servedProtocol(contentType);
    if (
      found === undefined ||
      !served[found.protocol.name] ||
      request.method !== "POST" ||
      scope?.refusal !== undefined
    ) {
      return handle(request);
    }
    const { protocol, binary } = found;
    const timeout = protocol.parseTimeout(header.get(protocol.timeoutHeader), maxTimeoutMs);
    const compression = compressionNegotiate(
      acceptCompression,
      header.get(protocol.encodingHeader),
      header.get(protocol.acceptHeader),
      protocol.acceptHeader,
    );
    if (timeout.error !== undefined || compression.error !== undefined) {
      return handle(request);
    }
    const context = createHandlerContext({
      service: method.parent,
      method,
      requestMethod: request.method,
      protocolName: protocol.name,
      url: request.url,
      requestSignal: request.signal,
      requestHeader: header,
      responseHeader: { "content-type": protocol.contentType(contentType, binary) },
      responseTrailer: protocol.trailer,
      contextValues,
      ...(timeout.timeoutMs === undefined ? {} : { timeoutMs: timeout.timeoutMs }),
    });
    if (compression.response !== null) {
      context.responseHeader.set(protocol.encodingHeader, compression.response.name);
    }
    const { serialize } = lookup.getO(binary);
    const isConnect = protocol.name === "connect";
    const input = new MessageReader(contentOf(request), {
      readMaxBytes: options.readMaxBytes,
      compression: compression.request,
      parse: lookup.getI(binary).parse,
      ...(isConnect ? { endOfStream: () => {} } : {}),
      over: () => {},
    });
    const answer = new EnvelopeAnswer({
      begin: () => begin(method, run, input, context),
      scope,
      context,
      format: binary ? "binary" : "json",
      serialize: (message) => serialize(create(method.output, message as Message)),
      end: isConnect
        ? (metadata, error) =>
            connectEnd.serialize(error === undefined ? { metadata } : { metadata, error })
        : grpcEnd,
      compression: compression.response,
      compressMinBytes,
    });
    // Implementations may add headers until there is something to send.
    await answer.prepare();
    const response = { ...uResponseOk, body: answer, header: context.responseHeader };
    return isConnect ? response : { ...response, trailer: context.responseTrailer };
  };
}

/** Of gRPC, which has no last envelope: how a call has ended is in the trailers. */
function grpcEnd(trailer: Headers, error: ConnectError | undefined): undefined {
  if (error !== undefined) {
    setTrailerStatus(trailer, error);
  }
}

/** Runs the implementation. Its messages are as it has made them. */
async function begin(
  method: DescMethod,
  run: Implementation,
  input: AsyncIterable<Message>,
  context: HandlerContext,
): Promise<AsyncIterator<unknown>> {
  switch (method.methodKind) {
    case "client_streaming":
      return iteratorOf(createAsyncIterable([await run(input, context)]));
    case "server_streaming":
      return iteratorOf(run(await only(input), context));
    default:
      return iteratorOf(run(input, context));
  }
}

function iteratorOf(messages: unknown): AsyncIterator<unknown> {
  return (messages as AsyncIterable<unknown>)[Symbol.asyncIterator]();
}

/** The one message of a request that has one. Its errors are connect-es's. */
async function only(input: AsyncIterable<Message>): Promise<Message> {
  const messages = input[Symbol.asyncIterator]();
  const first = await messages.next();
  if (first.done === true) {
    throw violation("missing input message for server-streaming method");
  }
  const second = await messages.next();
  if (second.done !== true) {
    throw violation("received extra input message for server-streaming method");
  }
  return first.value;
}

function violation(what: string): ConnectError {
  return new ConnectError(`protocol error: ${what}`, Code.Unimplemented);
}

interface AnswerOptions {
  begin(): Promise<AsyncIterator<unknown>>;
  readonly scope: CallScope | undefined;
  readonly context: EndingContext;
  readonly format: "binary" | "json";
  serialize(message: unknown): Uint8Array;
  /** The content of the last envelope, where there is one. */
  end(trailer: Headers, error: ConnectError | undefined): Uint8Array | undefined;
  readonly compression: Compression | null;
  readonly compressMinBytes: number;
}

/** The content of an answer: messages in envelopes, and how it ended in the last one. */
class EnvelopeAnswer implements AsyncIterableIterator<Uint8Array> {
  readonly #options: AnswerOptions;
  readonly #envelopes = new EnvelopeWriter();
  #first: IteratorResult<Uint8Array> | undefined;
  #messages: AsyncIterator<unknown> | undefined;
  #isOver = false;

  constructor(options: AnswerOptions) {
    this.#options = options;
  }

  /** Makes the first envelope. */
  async prepare(): Promise<void> {
    this.#first = await this.next();
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#first !== undefined) {
      const first = this.#first;
      this.#first = undefined;
      return first;
    }
    if (this.#isOver) {
      return finished;
    }
    try {
      this.#messages ??= await this.#options.begin();
      const { done, value } = await this.#messages.next();
      if (done !== true) {
        const shared = sharedEncodings(value);
        const data = this.#encoded(value, shared);
        const plain = this.#plain(0, data);
        if (plain !== undefined && shared === undefined) {
          releaseLarge(data);
        }
        return { done: false, value: plain ?? (await this.#compressed(0, data, shared)) };
      }
      this.#options.scope?.complete();
    } catch (error) {
      this.#leave();
      return this.#end(error, errorOf(error));
    }
    return this.#end();
  }

  /** The implementation can see why nobody reads on. */
  async throw(error: unknown): Promise<IteratorResult<Uint8Array>> {
    this.#first = undefined;
    this.#isOver = true;
    this.#options.context.abort(error);
    await this.#messages?.throw?.(error)?.catch(() => {});
    throw error;
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    this.#first = undefined;
    this.#isOver = true;
    this.#options.context.abort();
    this.#leave();
    return Promise.resolve(finished);
  }

  spent(chunk: Uint8Array): void {
    releaseLarge(chunk);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** The last envelope. */
  async #end(reason?: unknown, error?: ConnectError): Promise<IteratorResult<Uint8Array>> {
    const { context, end } = this.#options;
    this.#isOver = true;
    context.abort(reason);
    const data = end(context.responseTrailer, error);
    if (data === undefined) {
      return finished;
    }
    const value = this.#plain(endStreamFlag, data) ?? (await this.#compressed(endStreamFlag, data));
    return { done: false, value };
  }

  #encoded(message: unknown, shared: SharedEncodings | undefined): Uint8Array {
    const { format, serialize } = this.#options;
    const data = shared?.[format] ?? serialize(message);
    if (shared !== undefined) {
      shared[format] = data;
    }
    return data;
  }

  #leave(): void {
    void this.#messages?.return?.()?.catch(() => {});
  }

  /** Undefined when it is to be compressed. */
  #plain(flags: number, data: Uint8Array): Uint8Array | undefined {
    const { compression, compressMinBytes } = this.#options;
    return compression === null || data.length < compressMinBytes
      ? this.#envelopes.encode(flags, data)
      : undefined;
  }

  async #compressed(
    flags: number,
    data: Uint8Array,
    shared?: SharedEncodings,
  ): Promise<Uint8Array> {
    const { compression, compressMinBytes } = this.#options;
    const envelope =
      shared === undefined || compression === null
        ? await envelopeCompress({ flags, data }, compression, compressMinBytes)
        : await shared.compress({ flags, data }, compression);
    return this.#envelopes.encode(envelope.flags, envelope.data);
  }
}

function errorOf(error: unknown): ConnectError | undefined {
  if (error === undefined || error instanceof ConnectError) {
    return error;
  }
  return new ConnectError("internal error", Code.Internal, undefined, undefined, error);
}

/**
 * A reader that is left leaves the content alone, as with connect-es: whoever sends on is told with the end of the answer
 * that nobody has read it.
 */
function contentOf({ body }: UniversalServerRequest): AsyncIterable<Uint8Array> {
  if (body !== null && typeof body === "object" && Symbol.asyncIterator in body) {
    const content = (body as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]();
    return { [Symbol.asyncIterator]: () => ({ next: () => content.next() }) };
  }
  throw new TypeError("a request without bytes");
}

const finished: IteratorReturnResult<undefined> = { done: true, value: undefined };
