// The compressions of the matrix, by the names that they have on the wire.

import { promisify } from "node:util";
import * as zlib from "node:zlib";
import type { Compression } from "@connectrpc/connect/protocol";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";

export type CompressionName = "gzip" | "br" | "zstd";

/** The compressions that this Node.js has. */
export const compressions: Readonly<Partial<Record<CompressionName, Compression>>> = {
  gzip: compressionGzip,
  br: compressionBrotli,
  ...zstd(),
};

/** Those that it has, as an option of transports and routers. */
export const allCompressions: readonly Compression[] = Object.values(compressions);

type Zlib = (bytes: Uint8Array, options: object) => Promise<Uint8Array<ArrayBuffer>>;

/** Node.js has Zstandard since 22.15. */
function zstd(): { zstd?: Compression } {
  if (!("zstdCompress" in zlib && "zstdDecompress" in zlib)) {
    return {};
  }
  const compress = promisify(zlib.zstdCompress as Parameters<typeof promisify>[0]) as Zlib;
  const decompress = promisify(zlib.zstdDecompress as Parameters<typeof promisify>[0]) as Zlib;
  return {
    zstd: {
      name: "zstd",
      compress: (bytes) => compress(bytes, {}),
      decompress: (bytes, readMaxBytes) =>
        bytes.length === 0
          ? Promise.resolve(new Uint8Array(0))
          : decompress(bytes, { maxOutputLength: readMaxBytes }),
    },
  };
}
