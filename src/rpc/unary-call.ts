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
import {
  type Compression,
  createMethodSerializationLookup,
  createMethodUrl,
} from "@connectrpc/connect/protocol";
import {
  contentTypeUnaryJson,
  contentTypeUnaryProto,
  errorFromJsonBytes,
  requestHeaderWithCompression,
  trailerDemux,
  validateResponseWithCompression,
} from "@connectrpc/connect/protocol-connect";
import type { CallRequest, ClientCall, ResponseHandler } from "./client-call.ts";
import { ContentBuffer } from "./content-buffer.ts";
import { type FieldSection, headersFromFields, parseStatus, requestFields } from "./fields.ts";
import { messageTooLarge } from "./message-limits.ts";
import type { ProtocolTransportOptions } from "./protocol-transport.ts";
import { reduceTimeout } from "./timeout-field.ts";
import type { BeginCall } from "./universal-call.ts";

type HeadersLike = ConstructorParameters<typeof Headers>[0];

/** What is the same for all calls of a method. */
interface MethodPlan {
  readonly url: string;
  readonly serialize: (message: unknown) => Uint8Array;
  readonly parse: (content: Uint8Array) => unknown;
  /** Header sections of calls that have no headers of their own, by their timeout. */
  readonly sections: Map<number | undefined, FieldSection>;
}

/**
 * The short way of a unary call in the Connect protocol: the same on the wire to the byte as connect-es's own transport,
 * with the same outcome, but without what only interceptors could see. It takes a fraction of the time.
 */
export class UnaryCaller {
  readonly #options: ProtocolTransportOptions;
  readonly #begin: BeginCall;
  readonly #plans = new WeakMap<DescMethod, MethodPlan>();

  constructor(options: ProtocolTransportOptions, begin: BeginCall) {
    this.#options = options;
    this.#begin = begin;
  }

  /** Whether calls of the method may go this way: nobody could see the difference. */
  takes(method: DescMethod): boolean {
    const { interceptors, sendCompression, useHttpGet } = this.#options;
    const getsRequested =
      useHttpGet === true && method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
    return interceptors.length === 0 && sendCompression === null && !getsRequested;
  }

  /** As `Transport.unary`. */
  call(
    method: DescMethod,
    signal: AbortSignal | undefined,
    timeoutMs: number | undefined,
    header: HeadersLike | undefined,
    input: MessageInitShape<DescMessage>,
  ): Promise<UnaryResponse> {
    return new Promise((resolve, reject) => {
      const plan = this.#plan(method);
      const limitMs = timeoutMs ?? this.#options.defaultTimeoutMs;
      const effectiveMs = limitMs !== undefined && limitMs > 0 ? limitMs : undefined;
      const fields = this.#fields(method, plan, effectiveMs, header);
      const message = create(method.input, input);
      if (signal?.aborted === true) {
        throw ConnectError.from(signal.reason, Code.Canceled);
      }
      const request: CallRequest = {
        content: plan.serialize(message),
        signal,
        timeoutMs: effectiveMs,
        fields: (waitedMs) =>
          waitedMs > 0 && effectiveMs !== undefined
            ? fields.map((field) => reduceTimeout(field, waitedMs))
            : fields,
      };
      const outcome = { resolve, reject };
      this.#begin(request, new UnaryAnswer(method, plan.parse, this.#options, outcome));
    });
  }

  #plan(method: DescMethod): MethodPlan {
    let plan = this.#plans.get(method);
    if (plan === undefined) {
      const options = this.#options;
      const { binaryOptions, jsonOptions, useBinaryFormat } = options;
      const lookup = createMethodSerializationLookup(method, binaryOptions, jsonOptions, options);
      const input = lookup.getI(useBinaryFormat);
      plan = {
        url: createMethodUrl(options.baseUrl, method),
        serialize: (message) => input.serialize(message as MessageShape<DescMessage>),
        parse: lookup.getO(useBinaryFormat).parse,
        sections: new Map(),
      };
      this.#plans.set(method, plan);
    }
    return plan;
  }

  #fields(
    method: DescMethod,
    { url, sections }: MethodPlan,
    timeoutMs: number | undefined,
    header: HeadersLike | undefined,
  ): FieldSection {
    const known = header === undefined ? sections.get(timeoutMs) : undefined;
    if (known !== undefined) {
      return known;
    }
    const { useBinaryFormat, acceptCompression } = this.#options;
    const headers = requestHeaderWithCompression(
      method.methodKind,
      useBinaryFormat,
      timeoutMs,
      header,
      acceptCompression,
      null,
      true,
    );
    const fields = requestFields("POST", url, headers);
    if (header === undefined && sections.size < maxSections) {
      // Whoever meets a frozen one again need not look at it again.
      sections.set(timeoutMs, Object.freeze(fields));
    }
    return fields;
  }
}

/** Header sections that are kept for a method: most programs have one or two timeouts for it. */
const maxSections = 8;

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
