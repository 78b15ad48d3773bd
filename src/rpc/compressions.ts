import type { Compression } from "@connectrpc/connect/protocol";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { compressionZstd } from "./compression-zstd.ts";

export { compressionBrotli, compressionGzip };

/** What both sides take when nothing else is asked for, most wanted first: gzip, brotli, and zstd where Node.js has it. */
export const defaultCompressions: readonly Compression[] = [
  compressionGzip,
  compressionBrotli,
  ...(compressionZstd === undefined ? [] : [compressionZstd]),
];
