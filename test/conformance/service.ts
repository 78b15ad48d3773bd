// The service of the conformance suite: each request says how it wants to be answered, and the answer says what was
// received.

import { setTimeout } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { type Any, anyPack } from "@bufbuild/protobuf/wkt";
import type { ConnectError, HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  BidiStreamRequestSchema,
  ClientStreamRequestSchema,
  type ConformancePayload,
  ConformancePayload_ConnectGetInfoSchema,
  type ConformancePayload_RequestInfo,
  ConformancePayload_RequestInfoSchema,
  ConformancePayloadSchema,
  type ConformanceService,
  type Error as ErrorMessage,
  IdempotentUnaryRequestSchema,
  ServerStreamRequestSchema,
  type StreamResponseDefinition,
  UnaryRequestSchema,
  type UnaryResponseDefinition,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/service_pb.js";
import { appendHeaders, describeHeaders, errorFrom } from "./metadata.ts";
import { checkWire } from "./wire-check.ts";

/** All methods but `unimplemented`, which is to be left out. */
export const conformanceService: Omit<ServiceImpl<typeof ConformanceService>, "unimplemented"> = {
  unary: (request, context) =>
    answerOnce(request.responseDefinition, [anyPack(UnaryRequestSchema, request)], context),

  idempotentUnary: (request, context) =>
    answerOnce(
      request.responseDefinition,
      [anyPack(IdempotentUnaryRequestSchema, request)],
      context,
    ),

  async clientStream(requests, context) {
    const timeoutMs = context.timeoutMs();
    const received: Any[] = [];
    let definition: UnaryResponseDefinition | undefined;
    for await (const request of requests) {
      if (received.length === 0) {
        definition = request.responseDefinition;
      }
      received.push(anyPack(ClientStreamRequestSchema, request));
    }
    return await answerOnce(definition, received, context, timeoutMs);
  },

  async *serverStream(request, context) {
    const answers = new Answers(request.responseDefinition, context);
    answers.received.push(anyPack(ServerStreamRequestSchema, request));
    yield* answers.rest();
  },

  async *bidiStream(requests, context) {
    const timeoutMs = context.timeoutMs();
    let answers: Answers | undefined;
    let fullDuplex = false;
    for await (const request of requests) {
      if (answers === undefined) {
        answers = new Answers(request.responseDefinition, context, timeoutMs);
        fullDuplex = request.fullDuplex;
      }
      answers.received.push(anyPack(BidiStreamRequestSchema, request));
      if (fullDuplex) {
        if (!answers.hasNext) {
          break;
        }
        yield await answers.next({ withRequests: true });
      }
    }
    yield* answers?.rest() ?? [];
  },
};

/**
 * The answer of a method with a single response. `timeoutMs`, as elsewhere, is what the caller's deadline left when the call
 * came: the suite compares it with what was sent, however long messages took.
 */
async function answerOnce(
  definition: UnaryResponseDefinition | undefined,
  requests: Any[],
  context: HandlerContext,
  timeoutMs = context.timeoutMs(),
): Promise<{ payload: ConformancePayload }> {
  checkWire(context);
  setMetadata(definition, context);
  const requestInfo = describeRequest(requests, context, timeoutMs);
  await pause(definition?.responseDelayMs, context);
  switch (definition?.response.case) {
    case "error":
      throw withRequest(definition.response.value, requestInfo);
    case "responseData":
      return payload({ data: definition.response.value, requestInfo });
    case undefined:
      return payload({ requestInfo });
  }
}

/** The answers of a method with many of them. */
class Answers {
  /** What was received since the last answer. */
  received: Any[] = [];
  readonly #definition: StreamResponseDefinition | undefined;
  readonly #context: HandlerContext;
  readonly #timeoutMs: number | undefined;
  #sent = 0;

  constructor(
    definition: StreamResponseDefinition | undefined,
    context: HandlerContext,
    timeoutMs = context.timeoutMs(),
  ) {
    this.#definition = definition;
    this.#context = context;
    this.#timeoutMs = timeoutMs;
    checkWire(context);
    setMetadata(definition, context);
  }

  get hasNext(): boolean {
    return this.#sent < (this.#definition?.responseData.length ?? 0);
  }

  /** The first answer says what was received anyway, others on demand. */
  async next(options: { withRequests: boolean }): Promise<{ payload: ConformancePayload }> {
    const data = this.#definition?.responseData[this.#sent] ?? new Uint8Array();
    const described =
      this.#sent === 0 || options.withRequests ? { requestInfo: this.#describeReceived() } : {};
    this.received = [];
    this.#sent += 1;
    await pause(this.#definition?.responseDelayMs, this.#context);
    return payload({ data, ...described });
  }

  /** The answers that have not been given, and then the error, if there is to be one. */
  async *rest(): AsyncGenerator<{ payload: ConformancePayload }, void> {
    while (this.hasNext) {
      yield await this.next({ withRequests: false });
    }
    const error = this.#definition?.error;
    if (error !== undefined) {
      throw this.#sent === 0 ? withRequest(error, this.#describeReceived()) : errorFrom(error);
    }
  }

  #describeReceived(): ConformancePayload_RequestInfo {
    return describeRequest(this.received, this.#context, this.#timeoutMs);
  }
}

function payload(content: {
  readonly data?: Uint8Array;
  readonly requestInfo?: ConformancePayload_RequestInfo;
}): { payload: ConformancePayload } {
  return { payload: create(ConformancePayloadSchema, content) };
}

function describeRequest(
  requests: Any[],
  context: HandlerContext,
  timeoutMs: number | undefined,
): ConformancePayload_RequestInfo {
  const info = create(ConformancePayload_RequestInfoSchema, {
    requestHeaders: describeHeaders(context.requestHeader),
    requests,
  });
  if (timeoutMs !== undefined) {
    info.timeoutMs = BigInt(Math.trunc(timeoutMs));
  }
  if (context.requestMethod === "GET") {
    const { searchParams } = new URL(context.url);
    info.connectGetInfo = create(ConformancePayload_ConnectGetInfoSchema, {
      queryParams: describeHeaders(searchParams),
    });
  }
  return info;
}

/** The error, with what was received as its last detail. */
function withRequest(error: ErrorMessage, info: ConformancePayload_RequestInfo): ConnectError {
  const detail = anyPack(ConformancePayload_RequestInfoSchema, info);
  return errorFrom({ ...error, details: [...error.details, detail] });
}

function setMetadata(
  definition: UnaryResponseDefinition | StreamResponseDefinition | undefined,
  context: HandlerContext,
): void {
  appendHeaders(context.responseHeader, definition?.responseHeaders);
  appendHeaders(context.responseTrailer, definition?.responseTrailers);
}

/** Rejects with the reason when the call is over before. */
async function pause(delayMs: number | undefined, { signal }: HandlerContext): Promise<void> {
  if (delayMs !== undefined && delayMs > 0) {
    await setTimeout(delayMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
