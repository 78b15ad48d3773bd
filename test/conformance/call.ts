// Makes one call as the conformance runner describes it, and records what came back.

import { setTimeout } from "node:timers/promises";
import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { type CallOptions, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  type ClientCompatRequest,
  type ClientResponseResult,
  ClientResponseResultSchema,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/client_compat_pb.js";
import { StreamType } from "../../.cache/conformance/gen/connectrpc/conformance/v1/config_pb.js";
import {
  BidiStreamRequestSchema,
  ClientStreamRequestSchema,
  type ConformancePayload,
  ConformancePayloadSchema,
  ConformanceService,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  UnaryRequestSchema,
  UnimplementedRequestSchema,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/service_pb.js";
import { appendHeaders, describeError, describeHeaders } from "./metadata.ts";

/** Rejects when the description cannot be followed; an error of the call itself is a result. */
export async function makeCall(
  transport: Transport,
  request: ClientCompatRequest,
): Promise<ClientResponseResult> {
  const client = createClient(ConformanceService, transport);
  const call = new RecordedCall(request);
  const { options } = call;
  switch (request.method) {
    case ConformanceService.method.unary.name: {
      const message = call.onlyMessage(UnaryRequestSchema);
      return await call.record(() => client.unary(message, options));
    }
    case ConformanceService.method.idempotentUnary.name: {
      const message = call.onlyMessage(IdempotentUnaryRequestSchema);
      return await call.record(() => client.idempotentUnary(message, options));
    }
    case ConformanceService.method.unimplemented.name: {
      const message = call.onlyMessage(UnimplementedRequestSchema);
      return await call.record(async () => {
        await client.unimplemented(message, options);
        return {};
      });
    }
    case ConformanceService.method.clientStream.name: {
      const messages = call.messages(ClientStreamRequestSchema);
      return await call.record(() => client.clientStream(messages, options));
    }
    case ConformanceService.method.serverStream.name: {
      const message = call.onlyMessage(ServerStreamRequestSchema);
      return await call.recordStream(() => client.serverStream(message, options));
    }
    case ConformanceService.method.bidiStream.name: {
      const messages = call.messages(BidiStreamRequestSchema);
      return await call.recordStream(() => client.bidiStream(messages, options));
    }
    default:
      throw new RangeError(`no method ${JSON.stringify(request.method)}`);
  }
}

/** What all six methods answer with, `unimplemented` apart. */
interface Response {
  readonly payload?: ConformancePayload | undefined;
}

class RecordedCall {
  readonly options: CallOptions;
  readonly #request: ClientCompatRequest;
  readonly #result = create(ClientResponseResultSchema);
  readonly #controller = new AbortController();
  #sent = 0;
  #over = false;
  #progress: () => void = () => {};

  constructor(request: ClientCompatRequest) {
    this.#request = request;
    const headers = new Headers();
    appendHeaders(headers, request.requestHeaders);
    this.options = {
      headers,
      signal: this.#controller.signal,
      onHeader: (received) => {
        this.#result.responseHeaders = describeHeaders(received);
      },
      onTrailer: (received) => {
        this.#result.responseTrailers = describeHeaders(received);
      },
      ...(request.timeoutMs === undefined ? {} : { timeoutMs: request.timeoutMs }),
    };
  }

  onlyMessage<T extends DescMessage>(schema: T): MessageShape<T> {
    const messages = this.#unpack(schema);
    const [message] = messages;
    if (message === undefined || messages.length > 1) {
      throw new RangeError(`one request message expected, found ${messages.length}`);
    }
    return message;
  }

  /** The messages of the request, each at its time; full duplex: after the response to the one before. */
  async *messages<T extends DescMessage>(schema: T): AsyncGenerator<MessageShape<T>, void> {
    const { cancelTiming } = this.#request.cancel ?? {};
    const fullDuplex = this.#request.streamType === StreamType.FULL_DUPLEX_BIDI_STREAM;
    for (const message of this.#unpack(schema)) {
      await setTimeout(this.#request.requestDelayMs);
      yield message;
      this.#sent += 1;
      while (fullDuplex && this.#result.payloads.length < this.#sent && !this.#over) {
        await new Promise<void>((resolve) => {
          this.#progress = resolve;
        });
      }
    }
    if (cancelTiming?.case === "beforeCloseSend") {
      this.#controller.abort();
    } else {
      this.#sendIsClosed();
    }
  }

  /** A call with one response. */
  record(call: () => Promise<Response>): Promise<ClientResponseResult> {
    return this.#observe(async () => {
      const response = call();
      this.#sendsOneMessage();
      this.#add(await response);
    });
  }

  recordStream(call: () => AsyncIterable<Response>): Promise<ClientResponseResult> {
    return this.#observe(async () => {
      const responses = call();
      this.#sendsOneMessage();
      for await (const response of responses) {
        this.#add(response);
      }
    });
  }

  async #observe(call: () => Promise<void>): Promise<ClientResponseResult> {
    const result = this.#result;
    try {
      await call();
    } catch (reason) {
      const error = ConnectError.from(reason);
      result.error = describeError(error);
      result.numUnsentRequests = this.#request.requestMessages.length - this.#sent;
      if (result.responseTrailers.length === 0) {
        // Headers and trailers of a call that failed come together.
        result.responseTrailers = describeHeaders(error.metadata);
      }
    }
    this.#over = true;
    this.#progress();
    return result;
  }

  #add({ payload }: Response): void {
    const { payloads } = this.#result;
    payloads.push(payload ?? create(ConformancePayloadSchema));
    const { cancelTiming } = this.#request.cancel ?? {};
    if (cancelTiming?.case === "afterNumResponses" && cancelTiming.value === payloads.length) {
      this.#controller.abort();
    }
    this.#progress();
  }

  /** For the methods whose only message goes with the call. */
  #sendsOneMessage(): void {
    const { streamType } = this.#request;
    if (streamType === StreamType.UNARY || streamType === StreamType.SERVER_STREAM) {
      this.#sent = 1;
      this.#sendIsClosed();
    }
  }

  #sendIsClosed(): void {
    const { cancel } = this.#request;
    if (cancel === undefined) {
      return;
    }
    const { cancelTiming } = cancel;
    if (cancelTiming.case === undefined) {
      this.#controller.abort();
    } else if (cancelTiming.case === "afterCloseSendMs") {
      void setTimeout(cancelTiming.value).then(() => this.#controller.abort());
    }
  }

  #unpack<T extends DescMessage>(schema: T): MessageShape<T>[] {
    return this.#request.requestMessages.map((any) => {
      const message = anyUnpack(any, schema);
      if (message === undefined) {
        throw new TypeError(`a ${schema.typeName} expected, found ${any.typeUrl}`);
      }
      return message;
    });
  }
}
