import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { Code, ConnectError, type UnaryResponse } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import {
  headerGrpcStatus,
  validateResponseWithCompression,
  validateTrailer,
} from "@connectrpc/connect/protocol-grpc";
import { areUnwatched, CallPlans, type HeadersLike } from "./call-plan.ts";
import { EnvelopeWriter } from "./envelope-writer.ts";
import { MessageReader } from "./message-reader.ts";
import type { ProtocolTransportOptions } from "./protocol-transport.ts";
import { type BeginCall, type BegunResponse, responseOf } from "./universal-call.ts";

/** The short way of a unary call in gRPC, as `UnaryCaller` is that of the Connect protocol. */
export class GrpcCaller {
  readonly #options: ProtocolTransportOptions;
  readonly #begin: BeginCall;
  readonly #plans: CallPlans;
  readonly #envelopes = new EnvelopeWriter();

  constructor(options: ProtocolTransportOptions, begin: BeginCall) {
    this.#options = options;
    this.#begin = begin;
    this.#plans = new CallPlans("grpc", options);
  }

  /** Whether calls may go this way: nobody could see the difference. */
  takes(_method: DescMethod): boolean {
    return areUnwatched(this.#options);
  }

  /** As `Transport.unary`. */
  async call(
    method: DescMethod,
    signal: AbortSignal | undefined,
    requestedMs: number | undefined,
    header: HeadersLike | undefined,
    input: MessageInitShape<DescMessage>,
  ): Promise<UnaryResponse> {
    const plan = this.#plans.of(method);
    const timeoutMs = plan.timeoutMs(requestedMs);
    const fields = plan.fields(timeoutMs, header);
    const message = create(method.input, input);
    if (signal?.aborted === true) {
      throw ConnectError.from(signal.reason, Code.Canceled);
    }
    const content = this.#envelopes.encode(0, plan.serialize(message));
    const response = await responseOf({ content, signal, timeoutMs, fields }, this.#begin);
    try {
      return {
        stream: false,
        service: method.parent,
        method: method as DescMethodUnary,
        header: response.header,
        message: await this.#message(response, plan.parse),
        trailer: response.trailer,
      };
    } catch (reason) {
      const error = ConnectError.from(reason);
      response.body.cancelSoon(error);
      throw error;
    }
  }

  async #message<T extends MessageShape<DescMessage>>(
    response: BegunResponse,
    parse: (data: Uint8Array) => T,
  ): Promise<T> {
    const { status, header, trailer } = response;
    const { compression, headerError } = validateResponseWithCompression(
      this.#options.acceptCompression,
      status,
      header,
    );
    const message = await this.#only(response, compression ?? null, parse);
    validateTrailer(trailer, header);
    if (message === undefined) {
      // A response of trailers only.
      throw (
        headerError ??
        violation(
          "missing output message for unary method",
          trailer.has(headerGrpcStatus) ? Code.Unimplemented : Code.Unknown,
        )
      );
    }
    if (headerError !== undefined) {
      throw violation("received output message for unary method with error status", Code.Unknown);
    }
    return message;
  }

  async #only<T>(
    { body }: BegunResponse,
    compression: Compression | null,
    parse: (data: Uint8Array) => T,
  ): Promise<T | undefined> {
    const { readMaxBytes } = this.#options;
    const messages = new MessageReader(body, { readMaxBytes, compression, parse, over() {} });
    const first = await messages.next();
    if (first.done === true) {
      return undefined;
    }
    const second = await messages.next();
    if (second.done !== true) {
      throw violation("received extra output message for unary method", Code.Unimplemented);
    }
    return first.value;
  }
}

/** The messages are connect-es's. */
function violation(what: string, code: Code): ConnectError {
  return new ConnectError(`protocol error: ${what}`, code);
}
