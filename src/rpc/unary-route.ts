import {
  create,
  type DescMessage,
  type DescMethod,
  type MessageInitShape,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { ConnectRouterOptions, HandlerContext } from "@connectrpc/connect";
import {
  type Compression,
  compressionNegotiate,
  createMethodSerializationLookup,
  validateUniversalHandlerOptions,
} from "@connectrpc/connect/protocol";
import { type FieldSection, isAuthority } from "./fields.ts";
import { type UnaryProtocol, unaryFormats } from "./unary-protocol.ts";

/** What a unary call has to know of its method to go the short way. */
export interface UnaryRoute {
  readonly method: DescMethod;
  readonly options: ReturnType<typeof validateUniversalHandlerOptions>;
  /** Whether the service is served with this protocol. */
  serves(protocol: UnaryProtocol): boolean;
  /** What an answer may be compressed with for a caller who accepts this. */
  compression(acceptEncoding: string | null): Compression | undefined;
  /** Runs the implementation on an encoded request. */
  invoke(request: Uint8Array, format: Format, context: HandlerContext): Promise<Uint8Array>;
}

export type Format = "binary" | "json";

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
    options.interceptors.length > 0 ||
    options.requireConnectProtocolHeader ||
    options.shutdownSignal !== undefined
  ) {
    return undefined;
  }
  const { acceptCompression, binaryOptions, jsonOptions } = options;
  const lookup = createMethodSerializationLookup(method, binaryOptions, jsonOptions, options);
  const run = implementation as Implementation;
  return {
    method,
    options,
    serves: ({ name }) => handlers[name] !== false,
    compression: memoize((acceptEncoding) =>
      acceptEncoding === null
        ? undefined
        : (compressionNegotiate(acceptCompression, null, acceptEncoding, "").response ?? undefined),
    ),
    invoke: async (request, format, context) => {
      const binary = format === "binary";
      const message = lookup.getI(binary).parse(request);
      const response = (await run(message, context)) as MessageInitShape<DescMessage>;
      const output = create(method.output, response) as MessageShape<DescMessage>;
      return lookup.getO(binary).serialize(output);
    },
  };
}

/** Callers accept one of a few lists of compressions; strangers may send others. */
function memoize<T>(find: (key: string | null) => T): (key: string | null) => T {
  const known = new Map<string | null, T>();
  return (key) => {
    if (known.has(key)) {
      return known.get(key) as T;
    }
    const value = find(key);
    if (known.size < maxKnown) {
      known.set(key, value);
    }
    return value;
  };
}

const maxKnown = 16;

/** What the head of a request says that can go the short way. */
export interface UnaryRequestHead {
  readonly fields: FieldSection;
  readonly path: string;
  readonly authority: string;
  readonly protocol: UnaryProtocol;
  readonly format: Format;
  readonly timeout: string | null;
  readonly acceptEncoding: string | null;
  readonly contentLength: number;
}

/** Reads the header section of a request; undefined when it is none of those that can go the short way. */
export function readUnaryRequestHead(fields: FieldSection): UnaryRequestHead | undefined {
  let method = "";
  let path = "";
  let authority = "";
  let contentType: string | undefined;
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
        if (contentType !== undefined) {
          return undefined;
        }
        contentType = value;
        break;
    }
  }
  const known = unaryFormats.get(contentType ?? "");
  if (
    method !== "POST" ||
    known === undefined ||
    !path.startsWith("/") ||
    !isAuthority(authority)
  ) {
    return undefined;
  }
  const { protocol, format } = known;
  let timeout: string | null = null;
  let acceptEncoding: string | null = null;
  let contentLength = 0;
  for (const [name, value] of fields) {
    switch (name) {
      case protocol.encodingHeader:
        return undefined;
      case protocol.timeoutHeader:
        timeout = joined(timeout, value);
        break;
      case protocol.acceptHeader:
        acceptEncoding = joined(acceptEncoding, value);
        break;
      case "content-length":
        contentLength = Number(value);
        break;
    }
  }
  return { fields, path, authority, protocol, format, timeout, acceptEncoding, contentLength };
}

/** As `Headers` has it: without white space around it, and joined with what came before (RFC 9110 §5.3, §5.5). */
function joined(before: string | null, value: string): string {
  const trimmed = value.replace(/^[\t ]+|[\t ]+$/g, "");
  return before === null ? trimmed : `${before}, ${trimmed}`;
}
