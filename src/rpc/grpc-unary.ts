import { Code, ConnectError } from "@connectrpc/connect";
import { type Compression, compressedFlag } from "@connectrpc/connect/protocol";
import {
  contentTypeJson,
  contentTypeProto,
  grpcStatusOk,
  parseTimeout,
  setTrailerStatus,
} from "@connectrpc/connect/protocol-grpc";
import { EnvelopeSplitter } from "./envelope-splitter.ts";
import { EnvelopeWriter } from "./envelope-writer.ts";
import { type FieldSection, fieldsFromHeaders, responseFields } from "./fields.ts";
import type { AnsweredCall, UnaryAnswer, UnaryContent, UnaryProtocol } from "./unary-protocol.ts";
import type { Format } from "./unary-route.ts";

/** The message is in an envelope, and trailers say how the call has ended. */
export const grpcUnary: UnaryProtocol = {
  name: "grpc",
  contentTypes: { binary: contentTypeProto, json: contentTypeJson },
  timeoutHeader: "grpc-timeout",
  acceptHeader: "grpc-accept-encoding",
  encodingHeader: "grpc-encoding",
  parseTimeout,
  content: (readMaxBytes) => new EnvelopedContent(readMaxBytes),
  responseHeader: ({ acceptEncoding, format }, route) => {
    const compression = route.compression(acceptEncoding);
    return {
      "content-type": grpcUnary.contentTypes[format],
      ...(compression === undefined ? {} : { "grpc-encoding": compression.name }),
    };
  },
  responseTrailer: { "grpc-status": grpcStatusOk },
  answer: (message, call) => {
    const { head, route } = call;
    const compression = route.compression(head.acceptEncoding);
    return compression === undefined || message.length < route.options.compressMinBytes
      ? { ...envelopedFields(call), content: envelopes.encode(0, message) }
      : compressedEnvelope(message, compression, call);
  },
  failure: (error, call) => {
    setTrailerStatus(call.context.responseTrailer, error);
    return envelopedFields(call);
  },
};

/** One envelope. */
class EnvelopedContent implements UnaryContent {
  readonly #splitter: EnvelopeSplitter;
  #message: Uint8Array | undefined;

  constructor(readMaxBytes: number) {
    this.#splitter = new EnvelopeSplitter(readMaxBytes);
  }

  expect(): void {
    // The envelope says it, too.
  }

  push(bytes: Uint8Array): void {
    this.#splitter.push(bytes);
    for (;;) {
      const envelope = this.#splitter.next();
      if (envelope === undefined) {
        return;
      }
      if (this.#message !== undefined) {
        throw violation("received extra input message for unary method", Code.Unimplemented);
      }
      if ((envelope.flags & compressedFlag) !== 0) {
        throw new ConnectError(
          "received compressed envelope, but do not know how to decompress",
          Code.Internal,
        );
      }
      this.#message = envelope.data;
    }
  }

  take(): Uint8Array {
    this.#splitter.end();
    if (this.#message === undefined) {
      throw violation("missing input message for unary method", Code.Unimplemented);
    }
    return this.#message;
  }

  clear(): void {
    this.#message = undefined;
  }
}

async function compressedEnvelope(
  message: Uint8Array,
  compression: Compression,
  call: AnsweredCall,
): Promise<UnaryAnswer> {
  const content = envelopes.encode(compressedFlag, await compression.compress(message));
  return { ...envelopedFields(call), content };
}

function envelopedFields({ head, route, context }: AnsweredCall): {
  readonly fields: FieldSection;
  readonly trailers: FieldSection;
} {
  return context.isPlain
    ? plainEnvelopedFields(head.format, route.compression(head.acceptEncoding)?.name ?? "")
    : {
        fields: responseFields(200, context.responseHeader),
        trailers: fieldsFromHeaders(context.responseTrailer),
      };
}

/** The sections of an answer that nobody added anything to; there are as many as there are compressions. */
function plainEnvelopedFields(
  format: Format,
  encoding: string,
): { readonly fields: FieldSection; readonly trailers: FieldSection } {
  const known = plainEnveloped[format];
  let sections = known.get(encoding);
  if (sections === undefined) {
    const header = new Headers({
      "content-type": grpcUnary.contentTypes[format],
      ...(encoding === "" ? {} : { "grpc-encoding": encoding }),
    });
    sections = {
      fields: Object.freeze(responseFields(200, header)),
      trailers: Object.freeze(fieldsFromHeaders(new Headers(grpcUnary.responseTrailer))),
    };
    known.set(encoding, sections);
  }
  return sections;
}

const plainEnveloped: Readonly<
  Record<Format, Map<string, { readonly fields: FieldSection; readonly trailers: FieldSection }>>
> = { binary: new Map(), json: new Map() };

const envelopes = new EnvelopeWriter();

function violation(what: string, code: Code): ConnectError {
  return new ConnectError(`protocol error: ${what}`, code);
}
