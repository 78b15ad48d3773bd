import { ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import {
  contentTypeUnaryJson,
  contentTypeUnaryProto,
  errorFromJsonBytes,
  trailerDemux,
  validateResponseWithCompression,
} from "@connectrpc/connect/protocol-connect";
import type { ClientCall, ResponseHandler } from "./client-call.ts";
import { ContentBuffer } from "./content-buffer.ts";
import { type FieldSection, parseResponseHead } from "./fields.ts";
import { messageTooLarge } from "./message-limits.ts";
import { headersOf, type UnaryResponseOptions, unaryResponse } from "./unary-response.ts";

/** What follows from a response's head for its content. */
interface ContentPlan {
  readonly compression: Compression | undefined;
  /** The content is an error in JSON; this one stands in where it is not. */
  readonly unaryError: ConnectError | undefined;
}

/** A response of the Connect protocol: the content is the message, or an error in JSON. */
export class ConnectUnaryResponse implements ResponseHandler {
  readonly #options: UnaryResponseOptions;
  #call: ClientCall | undefined;
  #fields: FieldSection = [];
  /** Undefined when the content is the message and nothing else. */
  #plan: ContentPlan | undefined;
  readonly #content = new ContentBuffer();

  constructor(options: UnaryResponseOptions) {
    this.#options = options;
  }

  head(fields: FieldSection, call: ClientCall): void {
    this.#call = call;
    this.#fields = fields;
    const { plan, options } = this.#options;
    const { readMaxBytes, acceptCompression, useBinaryFormat } = options;
    const { isPlain, contentLength } = inspectHead(fields, useBinaryFormat);
    if (!isPlain) {
      const head = parseResponseHead(fields);
      if (head === undefined) {
        throw call.malformed("the header section of the response");
      }
      const { status, header } = head;
      const validated = validateResponseWithCompression(
        plan.method.methodKind,
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
    const { readMaxBytes } = this.#options.options;
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
    this.#options.reject(error);
  }

  #settle(content: Uint8Array): void {
    try {
      const { method, parse } = this.#options.plan;
      const metadata = () => trailerDemux(headersOf(this.#fields));
      this.#options.resolve(unaryResponse(method, parse(content), metadata));
    } catch (error) {
      this.#options.reject(ConnectError.from(error));
    }
  }

  async #settlePlanned(content: Uint8Array, plan: ContentPlan): Promise<void> {
    const { compression, unaryError } = plan;
    try {
      const plain =
        compression === undefined
          ? content
          : await compression.decompress(content, this.#options.options.readMaxBytes);
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
      this.#options.reject(ConnectError.from(error));
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
