import type { Compression } from "@connectrpc/connect/protocol";
import {
  codeToHttpStatus,
  contentTypeUnaryJson,
  contentTypeUnaryProto,
  errorToJsonBytes,
  parseTimeout,
  trailerMux,
} from "@connectrpc/connect/protocol-connect";
import { ContentBuffer } from "./content-buffer.ts";
import { type FieldSection, responseFields } from "./fields.ts";
import { messageTooLarge } from "./message-limits.ts";
import type { AnsweredCall, UnaryAnswer, UnaryContent, UnaryProtocol } from "./unary-protocol.ts";
import type { Format } from "./unary-route.ts";

/** The content is the message, or the error in JSON. */
export const connectUnary: UnaryProtocol = {
  name: "connect",
  contentTypes: { binary: contentTypeUnaryProto, json: contentTypeUnaryJson },
  timeoutHeader: "connect-timeout-ms",
  acceptHeader: "accept-encoding",
  encodingHeader: "content-encoding",
  parseTimeout,
  content: (readMaxBytes) => new WholeContent(readMaxBytes),
  responseHeader: ({ format }) => ({ "content-type": connectUnary.contentTypes[format] }),
  responseTrailer: {},
  answer: (message, call) => wholeAnswer(200, message, call),
  failure: (error, call) => {
    const { responseHeader } = call.context;
    responseHeader.set("content-type", contentTypeUnaryJson);
    error.metadata.forEach((value, name) => {
      responseHeader.set(name, value);
    });
    const content = errorToJsonBytes(error, call.route.options.jsonOptions);
    return wholeAnswer(codeToHttpStatus(error.code), content, call);
  },
};

class WholeContent implements UnaryContent {
  readonly #readMaxBytes: number;
  readonly #content = new ContentBuffer();

  constructor(readMaxBytes: number) {
    this.#readMaxBytes = readMaxBytes;
  }

  expect(contentLength: number): void {
    if (contentLength > this.#readMaxBytes) {
      throw messageTooLarge(this.#readMaxBytes, contentLength);
    }
  }

  push(bytes: Uint8Array): void {
    this.#content.push(bytes);
    if (this.#content.length > this.#readMaxBytes) {
      throw messageTooLarge(this.#readMaxBytes);
    }
  }

  take(): Uint8Array {
    return this.#content.take();
  }

  clear(): void {
    this.#content.clear();
  }
}

function wholeAnswer(
  status: number,
  content: Uint8Array,
  call: AnsweredCall,
): UnaryAnswer | Promise<UnaryAnswer> {
  const { head, route } = call;
  const compression =
    content.length < route.options.compressMinBytes
      ? undefined
      : route.compression(head.acceptEncoding);
  return compression === undefined
    ? { fields: wholeFields(status, content.length, call), content }
    : compressedAnswer(status, content, compression, call);
}

async function compressedAnswer(
  status: number,
  content: Uint8Array,
  compression: Compression,
  call: AnsweredCall,
): Promise<UnaryAnswer> {
  const compressed = await compression.compress(content);
  call.context.responseHeader.set("content-encoding", compression.name);
  return { fields: wholeFields(status, compressed.length, call), content: compressed };
}

function wholeFields(
  status: number,
  contentLength: number,
  { head, context }: AnsweredCall,
): FieldSection {
  if (context.isPlain) {
    return plainWholeFields(head.format, contentLength);
  }
  const header = trailerMux(context.responseHeader, context.responseTrailer);
  header.set("content-length", String(contentLength));
  return responseFields(status, header);
}

/** The header section of an answer that nobody added anything to; the same one for the same length, where that is short. */
function plainWholeFields(format: Format, contentLength: number): FieldSection {
  const known = plainWhole[format];
  let fields = known.get(contentLength);
  if (fields === undefined) {
    fields = [
      [":status", "200"],
      ["content-length", String(contentLength)],
      ["content-type", connectUnary.contentTypes[format]],
    ];
    if (contentLength < maxKnownLength) {
      // Whoever meets a frozen one again need not look at it again.
      known.set(contentLength, Object.freeze(fields));
    }
  }
  return fields;
}

const maxKnownLength = 1_024;
const plainWhole: Readonly<Record<Format, Map<number, FieldSection>>> = {
  binary: new Map(),
  json: new Map(),
};
