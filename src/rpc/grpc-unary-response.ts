import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Compression, compressedFlag, envelopeDecompress } from "@connectrpc/connect/protocol";
import {
  contentTypeJson,
  contentTypeProto,
  grpcStatusOk,
  headerGrpcStatus,
  validateResponseWithCompression,
  validateTrailer,
} from "@connectrpc/connect/protocol-grpc";
import type { ClientCall, ResponseHandler } from "./client-call.ts";
import { type Envelope, EnvelopeSplitter } from "./envelope-splitter.ts";
import { type FieldSection, headersFromFields, parseResponseHead } from "./fields.ts";
import { headersOf, type UnaryResponseOptions, unaryResponse } from "./unary-response.ts";

/** A response in gRPC: the message is in an envelope, and trailers say how the call has ended. */
export class GrpcUnaryResponse implements ResponseHandler {
  readonly #options: UnaryResponseOptions;
  readonly #splitter: EnvelopeSplitter;
  #call: ClientCall | undefined;
  #fields: FieldSection = [];
  #trailers: FieldSection = [];
  #compression: Compression | null = null;
  /** What the header section says of how the call has ended; then there need be nothing else. */
  #headerError: ConnectError | undefined;
  #envelope: Envelope | undefined;

  constructor(options: UnaryResponseOptions) {
    this.#options = options;
    this.#splitter = new EnvelopeSplitter(options.options.readMaxBytes);
  }

  head(fields: FieldSection, call: ClientCall): void {
    this.#call = call;
    this.#fields = fields;
    const { acceptCompression } = this.#options.options;
    const encoding = plainEncoding(fields);
    const known = acceptCompression.find(({ name }) => name === encoding);
    if (known !== undefined || encoding === "identity") {
      this.#compression = known ?? null;
    } else {
      const head = parseResponseHead(fields);
      if (head === undefined) {
        throw call.malformed("the header section of the response");
      }
      const { status, header } = head;
      const validated = validateResponseWithCompression(acceptCompression, status, header);
      this.#compression = validated.compression ?? null;
      this.#headerError = validated.headerError;
    }
  }

  data(bytes: Uint8Array): void {
    try {
      this.#splitter.push(bytes);
      for (;;) {
        const envelope = this.#splitter.next();
        if (envelope === undefined) {
          return;
        }
        if (this.#envelope !== undefined) {
          throw violation("received extra output message for unary method", Code.Unimplemented);
        }
        this.#envelope = envelope;
      }
    } catch (error) {
      this.#call?.cancel(ConnectError.from(error));
    }
  }

  trailers(fields: FieldSection, call: ClientCall): void {
    this.#trailers = fields;
    if (!isPlainTrailer(fields) && headersFromFields(fields) === undefined) {
      throw call.malformed("the trailer section of the response");
    }
  }

  end(): void {
    const envelope = this.#envelope;
    try {
      this.#splitter.end();
      if (
        envelope !== undefined &&
        (envelope.flags & compressedFlag) === 0 &&
        this.#headerError === undefined &&
        isPlainTrailer(this.#trailers)
      ) {
        this.#resolve(this.#options.plan.parse(envelope.data));
      } else {
        void this.#settle(envelope);
      }
    } catch (error) {
      this.failed(ConnectError.from(error));
    }
  }

  failed(error: ConnectError): void {
    this.#options.reject(error);
  }

  #resolve(message: MessageShape<DescMessage>): void {
    const metadata = () => [headersOf(this.#fields), headersOf(this.#trailers)] as const;
    this.#options.resolve(unaryResponse(this.#options.plan.method, message, metadata));
  }

  /** What does not say at first sight that it is a message and nothing else. */
  async #settle(envelope: Envelope | undefined): Promise<void> {
    try {
      const trailer = headersOf(this.#trailers);
      const message =
        envelope === undefined ? undefined : this.#options.plan.parse(await this.#plain(envelope));
      validateTrailer(trailer, headersOf(this.#fields));
      if (message === undefined) {
        // A response of trailers only.
        const code = trailer.has(headerGrpcStatus) ? Code.Unimplemented : Code.Unknown;
        throw this.#headerError ?? violation("missing output message for unary method", code);
      }
      if (this.#headerError !== undefined) {
        const what = "received output message for unary method with error status";
        throw violation(what, Code.Unknown);
      }
      this.#resolve(message);
    } catch (error) {
      this.failed(ConnectError.from(error));
    }
  }

  async #plain(envelope: Envelope): Promise<Uint8Array> {
    const { readMaxBytes } = this.#options.options;
    return (await envelopeDecompress(envelope, this.#compression, readMaxBytes)).data;
  }
}

/**
 * How messages are compressed that follow a header section which says nothing else; undefined for one that does.
 */
function plainEncoding(fields: FieldSection): string | undefined {
  let succeeded = false;
  let expected = false;
  let encoding = "identity";
  for (const [name, value] of fields) {
    switch (name) {
      case ":status":
        succeeded = value === "200";
        break;
      case "content-type":
        expected = value === contentTypeProto || value === contentTypeJson;
        break;
      case "grpc-encoding":
        if (encoding !== "identity") {
          return undefined;
        }
        encoding = value;
        break;
      case "grpc-status":
        return undefined;
    }
  }
  return succeeded && expected ? encoding : undefined;
}

/** Nothing but success. */
function isPlainTrailer(fields: FieldSection): boolean {
  const [first] = fields;
  return fields.length === 1 && first?.[0] === "grpc-status" && first[1] === grpcStatusOk;
}

/** The messages are connect-es's. */
function violation(what: string, code: Code): ConnectError {
  return new ConnectError(`protocol error: ${what}`, code);
}
