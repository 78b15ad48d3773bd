import {
  create,
  type DescMessage,
  type DescMethod,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { ConnectRouterOptions, HandlerContext } from "@connectrpc/connect";
import {
  createMethodSerializationLookup,
  validateUniversalHandlerOptions,
} from "@connectrpc/connect/protocol";
import { contentTypeUnaryJson, contentTypeUnaryProto } from "@connectrpc/connect/protocol-connect";
import { type FieldSection, isAuthority } from "./fields.ts";

/** What a unary call has to know of its method to go the short way. */
export interface UnaryRoute {
  readonly method: DescMethod;
  readonly options: ReturnType<typeof validateUniversalHandlerOptions>;
  /** Runs the implementation on an encoded request. */
  invoke(request: Uint8Array, format: Format, context: HandlerContext): Promise<Uint8Array>;
}

export type Format = "binary" | "json";

export const contentTypes: Readonly<Record<Format, string>> = {
  binary: contentTypeUnaryProto,
  json: contentTypeUnaryJson,
};

const formats: ReadonlyMap<string, Format> = new Map([
  [contentTypeUnaryProto, "binary"],
  [contentTypeUnaryJson, "json"],
]);

type Implementation = (request: unknown, context: HandlerContext) => unknown;

/** The short way to a method; undefined where somebody could see the difference, as interceptors do. */
export function unaryRoute(
  method: DescMethod,
  implementation: unknown,
  handlers: ConnectRouterOptions,
): UnaryRoute | undefined {
  const options = validateUniversalHandlerOptions(handlers);
  if (
    method.methodKind !== "unary" ||
    typeof implementation !== "function" ||
    handlers.connect === false ||
    options.interceptors.length > 0 ||
    options.requireConnectProtocolHeader ||
    options.shutdownSignal !== undefined
  ) {
    return undefined;
  }
  const { binaryOptions, jsonOptions } = options;
  const lookup = createMethodSerializationLookup(method, binaryOptions, jsonOptions, options);
  const run = implementation as Implementation;
  return {
    method,
    options,
    invoke: async (request, format, context) => {
      const binary = format === "binary";
      const message = lookup.getI(binary).parse(request);
      const response = (await run(message, context)) as MessageInitShape<DescMessage>;
      const output = create(method.output, response) as MessageShape<DescMessage>;
      return lookup.getO(binary).serialize(output);
    },
  };
}

/** What the head of a request says that can go the short way. */
export interface UnaryRequestHead {
  readonly fields: FieldSection;
  readonly path: string;
  readonly authority: string;
  readonly format: Format;
  readonly timeout: string | null;
  readonly acceptEncoding: string | null;
  readonly contentLength: number;
}

/** Reads the header section of a request; undefined when it is not a plain one of the Connect protocol. */
export function readUnaryRequestHead(fields: FieldSection): UnaryRequestHead | undefined {
  let method = "";
  let path = "";
  let authority = "";
  let format: Format | undefined;
  let timeout: string | null = null;
  let acceptEncoding: string | null = null;
  let contentLength = 0;
  for (const [name, value] of fields) {
    switch (name) {
      case ":method":
        method = value;
        break;
      case ":path":
        path = value;
        break;
      case ":authority":
        authority = value;
        break;
      case "content-type":
        if (format !== undefined) {
          return undefined;
        }
        format = formats.get(value);
        break;
      case "content-encoding":
        return undefined;
      case "connect-timeout-ms":
        timeout = joined(timeout, value);
        break;
      case "accept-encoding":
        acceptEncoding = joined(acceptEncoding, value);
        break;
      case "content-length":
        contentLength = Number(value);
        break;
    }
  }
  if (
    method !== "POST" ||
    format === undefined ||
    !path.startsWith("/") ||
    !isAuthority(authority)
  ) {
    return undefined;
  }
  return { fields, path, authority, format, timeout, acceptEncoding, contentLength };
}

/** As `Headers` has it: without white space around it, and joined with what came before (RFC 9110 §5.3, §5.5). */
function joined(before: string | null, value: string): string {
  const trimmed = value.replace(/^[\t ]+|[\t ]+$/g, "");
  return before === null ? trimmed : `${before}, ${trimmed}`;
}
