// The cells of the matrix: protocol, format and compression.

import { type CompressionName, compressions } from "./compressions.ts";
import type { Protocol, TransportConfig } from "./subject.ts";

export interface Cell {
  readonly title: string;
  readonly config: TransportConfig;
  /** Why this Node.js cannot fill the cell. */
  readonly missing?: string;
}

const protocols: readonly Protocol[] = ["connect", "grpc", "grpc-web"];
const formats = ["binary", "json"] as const;
const codings: readonly (CompressionName | "identity")[] = ["identity", "gzip", "br", "zstd"];

/** Every protocol, format and compression. */
export const everyCell: readonly Cell[] = protocols.flatMap((protocol) =>
  formats.flatMap((format) => codings.map((coding) => cell(protocol, format, coding))),
);

/** Every protocol and format, uncompressed. */
export const everyFormat: readonly Cell[] = protocols.flatMap((protocol) =>
  formats.map((format) => cell(protocol, format, "identity")),
);

/** Every protocol, binary and uncompressed. */
export const everyProtocol: readonly Cell[] = protocols.map((protocol) =>
  cell(protocol, "binary", "identity"),
);

function cell(
  protocol: Protocol,
  format: (typeof formats)[number],
  coding: CompressionName | "identity",
): Cell {
  const plain = { protocol, useBinaryFormat: format === "binary" };
  if (coding === "identity") {
    return {
      title: `${protocol}, ${format}`,
      config: { ...plain, acceptCompression: [] },
    };
  }
  const title = `${protocol}, ${format}, ${coding}`;
  const compression = compressions[coding];
  return compression === undefined
    ? { title, config: plain, missing: `Node.js ${process.version} has no ${coding}` }
    : {
        title,
        config: {
          ...plain,
          acceptCompression: [compression],
          sendCompression: compression,
          compressMinBytes: 1_024,
        },
      };
}
