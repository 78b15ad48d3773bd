import type { Compression } from "@connectrpc/connect/protocol";
import { compressionZstd } from "./compression-zstd.ts";

/** gzip (RFC 1952), for the options `acceptCompression` and `sendCompression`. */
export const compressionGzip: Compression = ofConnectNode(
  "gzip",
  (module) => module.compressionGzip,
);

/** Brotli (RFC 7932), for the same options. */
export const compressionBrotli: Compression = ofConnectNode(
  "br",
  (module) => module.compressionBrotli,
);

/** What both sides take when nothing else is asked for, most wanted first: gzip, brotli, and zstd where Node.js has it. */
export const defaultCompressions: readonly Compression[] = [
  compressionGzip,
  compressionBrotli,
  ...(compressionZstd === undefined ? [] : [compressionZstd]),
];

/** Loaded with the first message that is compressed: most programs have none. */
function ofConnectNode(
  name: string,
  pick: (module: typeof import("@connectrpc/connect-node")) => Compression,
): Compression {
  const load = async () => pick(await import("@connectrpc/connect-node"));
  return {
    name,
    compress: async (bytes) => (await load()).compress(bytes),
    decompress: async (bytes, readMaxBytes) => (await load()).decompress(bytes, readMaxBytes),
  };
}
