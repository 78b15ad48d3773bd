import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";

type Bytes = Uint8Array<ArrayBuffer>;

/** The part of node:zlib that came with Node.js 22.15 and 23.8; the types that we compile against are older. */
interface ZstdFunctions {
  zstdCompress(
    bytes: Uint8Array,
    options: object,
    callback: (error: Error | null, result: Bytes) => void,
  ): void;
  zstdDecompress(
    bytes: Uint8Array,
    options: { readonly maxOutputLength: number },
    callback: (error: Error | null, result: Bytes) => void,
  ): void;
}

/**
 * Zstandard (RFC 8878), for the options `acceptCompression` and `sendCompression`. Undefined on versions of Node.js
 * without it, before 22.15.
 */
export const compressionZstd: Compression | undefined = hasZstd(zlib)
  ? createCompression(zlib)
  : undefined;

function createCompression({ zstdCompress, zstdDecompress }: ZstdFunctions): Compression {
  const compress = promisify(zstdCompress);
  const decompress = promisify(zstdDecompress);
  return {
    name: "zstd",
    compress: (bytes) => compress(bytes, {}),
    decompress: async (bytes, readMaxBytes) => {
      if (bytes.length === 0) {
        return new Uint8Array(0);
      }
      try {
        return await decompress(bytes, { maxOutputLength: readMaxBytes });
      } catch (error) {
        throw decompressionError(error, readMaxBytes);
      }
    },
  };
}

function decompressionError(error: unknown, readMaxBytes: number): ConnectError {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ERR_BUFFER_TOO_LARGE"
    ? new ConnectError(
        `message is larger than configured readMaxBytes ${readMaxBytes} after decompression`,
        Code.ResourceExhausted,
      )
    : new ConnectError("decompression failed", Code.InvalidArgument, undefined, undefined, error);
}

function hasZstd(module: object): module is ZstdFunctions {
  return "zstdCompress" in module && "zstdDecompress" in module;
}
