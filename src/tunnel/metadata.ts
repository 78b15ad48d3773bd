// Between `Headers`, which Connect works with, and the metadata of frames.

import { create } from "@bufbuild/protobuf";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Metadata, MetadataSchema } from "./gen/grpctunnel/v1/tunnel_pb.ts";
import type { BinaryEncoding } from "./negotiation.ts";
import { maxMetadataSize } from "./tunnel-limits.ts";

/** Throws ConnectError with Internal for binary values that this tunnel cannot carry. */
export function metadataFromHeaders(header: Headers, encoding: BinaryEncoding): Metadata {
  const metadata = create(MetadataSchema);
  for (const [name, value] of header) {
    if (!ownNames.has(name)) {
      const val = isBinary(name) ? binaryValues(name, value, encoding) : [value];
      metadata.md[name] = { $typeName: "grpctunnel.v1.Metadata.Values", val };
    }
  }
  return metadata;
}

/** Adds metadata to headers. Undefined when it cannot be in any, or is more than {@link maxMetadataSize}. */
export function headersFromMetadata(
  metadata: Metadata | undefined,
  encoding: BinaryEncoding,
  into: Headers = new Headers(),
): Headers | undefined {
  let size = 0;
  try {
    for (const [name, { val }] of Object.entries(metadata?.md ?? {})) {
      const key = name.toLowerCase();
      for (const value of val) {
        size += name.length + value.length;
        if (size > maxMetadataSize) {
          return undefined;
        }
        if (!ownNames.has(key)) {
          const raw = encoding === "utf8" && isBinary(key);
          into.append(key, raw ? base64Encode(utf8.encode(value), "std_raw") : value);
        }
      }
    }
    return into;
  } catch {
    return undefined;
  }
}

function isBinary(name: string): boolean {
  return name.endsWith("-bin");
}

/** `Headers` have joined several values to one. */
function binaryValues(name: string, joined: string, encoding: BinaryEncoding): string[] {
  const values = joined.split(",").map((value) => value.trim());
  if (encoding === "base64") {
    return values;
  }
  try {
    return values.map((value) => strictUtf8.decode(base64Decode(value)));
  } catch (error) {
    throw new ConnectError(
      `cannot send ${name}: in tunnels to this peer, binary metadata has to be UTF-8`,
      Code.Internal,
      undefined,
      undefined,
      error,
    );
  }
}

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What gRPC over HTTP says in headers and trailers, and a tunnel in other ways or not at all. */
const ownNames: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "content-type",
  "grpc-accept-encoding",
  "grpc-encoding",
  "grpc-message",
  "grpc-status",
  "grpc-status-details-bin",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
]);
