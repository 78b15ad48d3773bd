import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type UnaryResponse } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import {
  contentTypeUnaryJson,
  contentTypeUnaryProto,
  errorFromJsonBytes,
  trailerDemux,
  validateResponseWithCompression,
} from "@connectrpc/connect/protocol-connect";
import { areUnwatched, CallPlans, type HeadersLike } from "./call-plan.ts";
import type { ClientCall, ResponseHandler } from "./client-call.ts";
import { ContentBuffer } from "./content-buffer.ts";
import { type FieldSection, headersFromFields, parseStatus } from "./fields.ts";
import { messageTooLarge } from "./message-limits.ts";
import type { ProtocolTransportOptions } from "./protocol-transport.ts";
import type { BeginCall } from "./universal-call.ts";

/**
 * The short way of a unary call in the Connect protocol: the same on the wire to the byte as connect-es's own transport,
 * with the same outcome, but without what only interceptors could see. It takes a fraction of the time.
 */
export class UnaryCaller {
  readonly #options: ProtocolTransportOptions;
  readonly #begin: BeginCall;
  readonly #plans: CallPlans;

  constructor(options: ProtocolTransportOptions, begin: BeginCall) {
    this.#options = options;
    this.#begin = begin;
    this.#plans = new CallPlans("connect", options);
  }

  /** Whether calls of the method may go this way: nobody could see the difference. */
  takes(method: DescMethod): boolean {
    const { useHttpGet } = this.#options;
    const getsRequested =
      useHttpGet === true && method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
    return areUnwatched(this.#options) && !getsRequested;
  }

  /** As `Transport.unary`. */
  call(
    method: DescMethod,
    signal: AbortSignal | undefined,
    requestedMs: number | undefined,
    header: HeadersLike | undefined,
    input: MessageInitShape<DescMessage>,
  ): Promise<UnaryResponse> {
    return new Promise((resolve, reject) => {
      const plan = this.#plans.of(method);
      const timeoutMs = plan.timeoutMs(requestedMs);
      const fields = plan.fields(timeoutMs, header);
      const message = create(method.input, input);
      if (signal?.aborted === true) {
        throw ConnectError.from(signal.reason, Code.Canceled);
      }
      const request = { content: plan.serialize(message), signal, timeoutMs, fields };
      const outcome = { resolve, reject };
      this.#begin(request, new UnaryAnswer(method, plan.parse, this.#options, outcome));
    });
  }
}

interface Outcome {
  resolve(response: UnaryResponse): void;
  reject(error: unknown): void;
}

/** What follows from a response's head for its content. */
interface ContentPlan {
  readonly compression: Compression | undefined;
  /** The content is an error in JSON; this one stands in where it is not. */
  readonly unaryError: ConnectError | undefined;
}

class UnaryAnswer implements ResponseHandler {
  readonly #method: DescMethod;
  readonly #parse: (content: Uint8Array) => unknown;
  readonly #options: ProtocolTransportOptions;
  readonly #outcome: Outcome;
  #call: ClientCall | undefined;
  #fields: FieldSection = [];
  /** Undefined when the content is the message and nothing else. */
  #plan: ContentPlan | undefined;
  readonly #content = new ContentBuffer();

  constructor(
    method: DescMethod,
    parse: (content: Uint8Array) => unknown,
    options: ProtocolTransportOptions,
    outcome: Outcome,
  ) {
    this.#method = method;
    this.#parse = parse;
    this.#options = options;
    this.#outcome = outcome;
  }

  head(fields: FieldSection, call: ClientCall): void {
    this.#call = call;
    this.#fields = fields;
    const { readMaxBytes, acceptCompression, useBinaryFormat } = this.#options;
    const { isPlain, contentLength } = inspectHead(fields, useBinaryFormat);
    if (!isPlain) {
      const status = parseStatus(fields);
      const header = headersFromFields(fields);
      if (status === undefined || header === undefined) {
        throw call.malformed("the header section of the response");
      }
      const validated = validateResponseWithCompression(
        this.#method.methodKind,
        acceptCompression,
        useBinaryFormat,
        status,
        header,
      );
      this.#plan = {
        compression: validated.compression,
        unaryError: validated.isUnaryError ? validated.unaryError : undefined,
      };
    }
    if (contentLength > readMaxBytes) {
      throw messageTooLarge(readMaxBytes, contentLength);
    }
  }

  data(bytes: Uint8Array): void {
    const { readMaxBytes } = this.#options;
    this.#content.push(bytes);
    if (this.#content.length > readMaxBytes) {
      this.#call?.cancel(messageTooLarge(readMaxBytes));
    }
  }

  trailers(): void {
    // The Connect protocol puts nothing there.
  }

  end(): void {
    const content = this.#content.take();
    if (this.#plan === undefined) {
      this.#settle(content);
    } else {
      void this.#settlePlanned(content, this.#plan);
    }
  }

  failed(error: ConnectError): void {
    this.#outcome.reject(error);
  }

  #settle(content: Uint8Array): void {
    try {
      this.#outcome.resolve(responseOf(this.#method, this.#fields, this.#parse(content)));
    } catch (error) {
      this.#outcome.reject(ConnectError.from(error));
    }
  }

  async #settlePlanned(content: Uint8Array, plan: ContentPlan): Promise<void> {
    const { compression, unaryError } = plan;
    try {
      const plain =
        compression === undefined
          ? content
          : await compression.decompress(content, this.#options.readMaxBytes);
      if (unaryError !== undefined) {
        const metadata = new Headers();
        for (const part of trailerDemux(headersOf(this.#fields))) {
          part.forEach((value, name) => {
            metadata.append(name, value);
          });
        }
        throw errorFromJsonBytes(plain, metadata, unaryError);
      }
      this.#settle(plain);
    } catch (error) {
      this.#outcome.reject(ConnectError.from(error));
    }
  }
}

/** "plain": the content is a message in the expected format, as it is. */
function inspectHead(
  fields: FieldSection,
  useBinaryFormat: boolean,
): { readonly isPlain: boolean; readonly contentLength: number } {
  let succeeded = false;
  let expected = false;
  let encoded = false;
  let contentLength = 0;
  for (const [name, value] of fields) {
    switch (name) {
      case ":status":
        succeeded = value === "200";
        break;
      case "content-type":
        expected = value === (useBinaryFormat ? contentTypeUnaryProto : contentTypeUnaryJson);
        break;
      case "content-encoding":
        encoded = true;
        break;
      case "content-length":
        contentLength = Number(value);
        break;
    }
  }
  return { isPlain: succeeded && expected && !encoded, contentLength };
}

/** Headers and trailers are made when someone asks for them, which nobody does for most calls. */
function responseOf(method: DescMethod, fields: FieldSection, message: unknown): UnaryResponse {
  let parts: readonly [header: Headers, trailer: Headers] | undefined;
  const demuxed = (): readonly [header: Headers, trailer: Headers] => {
    parts ??= trailerDemux(headersOf(fields));
    return parts;
  };
  return {
    stream: false,
    service: method.parent,
    method: method as DescMethodUnary,
    message: message as MessageShape<DescMessage>,
    get header() {
      return demuxed()[0];
    },
    get trailer() {
      return demuxed()[1];
    },
  };
}

/** HTTP/3 has let nothing through that `Headers` could refuse. */
function headersOf(fields: FieldSection): Headers {
  return headersFromFields(fields) ?? new Headers();
}
