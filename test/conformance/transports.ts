// The transports that the conformance client calls through: one for all calls with the same options.

import type { Interceptor } from "@connectrpc/connect";
import type { ClientCompatRequest } from "../../.cache/conformance/gen/connectrpc/conformance/v1/client_compat_pb.js";
import {
  Codec,
  Compression,
  Protocol,
} from "../../.cache/conformance/gen/connectrpc/conformance/v1/config_pb.js";
import {
  type CallTransport,
  type CallTransportOptions,
  compressionBrotli,
  compressionGzip,
  compressionZstd,
  createQuicTransport,
  type Endpoint,
  type Engine,
} from "../../src/index.ts";
import { registry } from "./way.ts";

/** Owns its transports, not the endpoint. */
export class Transports implements AsyncDisposable {
  readonly #endpoint: Endpoint;
  readonly #interceptors: readonly Interceptor[];
  readonly #engine: Engine | undefined;
  readonly #transports = new Map<string, CallTransport>();

  /** @param engine of calls by URL */
  constructor(
    endpoint: Endpoint,
    interceptors: readonly Interceptor[],
    engine: Engine | undefined,
  ) {
    this.#engine = engine;
    this.#endpoint = endpoint;
    this.#interceptors = interceptors;
  }

  /** Throws when there is no such transport. */
  for(request: ClientCompatRequest): CallTransport {
    const { protocol, codec, compression, messageReceiveLimit, useGetHttpMethod } = request;
    const { host, port, serverTlsCert, clientTlsCreds } = request;
    const trusted = Buffer.from(serverTlsCert).toString();
    const options = [protocol, codec, compression, messageReceiveLimit, useGetHttpMethod];
    const key = [host, port, trusted, clientTlsCreds?.cert, ...options].join();
    const transport =
      this.#transports.get(key) ??
      this.#create(request, trusted, {
        protocol: protocolOf(protocol),
        useBinaryFormat: codec === Codec.PROTO,
        useHttpGet: useGetHttpMethod,
        interceptors: this.#interceptors,
        jsonOptions: { registry },
        // Messages of the suite are small, and are to be compressed nevertheless.
        compressMinBytes: 0,
        ...compressionOptions(compression),
        ...(messageReceiveLimit === 0 ? {} : { readMaxBytes: messageReceiveLimit }),
      });
    this.#transports.set(key, transport);
    return transport;
  }

  /** What our own server says as its certificate when it is a peer is its ticket. */
  #create(
    { host, port, clientTlsCreds }: ClientCompatRequest,
    trusted: string,
    options: CallTransportOptions,
  ): CallTransport {
    if (trusted.startsWith("endpoint")) {
      return createQuicTransport({ ...options, endpoint: this.#endpoint, to: trusted });
    }
    return createQuicTransport({
      ...options,
      to: `https://${host}:${port}`,
      ca: trusted,
      engine: this.#engine,
      ...(clientTlsCreds === undefined
        ? {}
        : { cert: clientTlsCreds.cert, key: clientTlsCreds.key }),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#transports.values()].map((transport) => transport.close()));
  }
}

function protocolOf(protocol: Protocol): "connect" | "grpc" | "grpc-web" {
  switch (protocol) {
    case Protocol.CONNECT:
      return "connect";
    case Protocol.GRPC:
      return "grpc";
    case Protocol.GRPC_WEB:
      return "grpc-web";
    default:
      throw new RangeError(`no protocol ${protocol}`);
  }
}

/** Requests are compressed, and responses in the same way or not at all. */
function compressionOptions(
  compression: Compression,
): Pick<CallTransportOptions, "acceptCompression" | "sendCompression"> {
  if (compression === Compression.IDENTITY) {
    return { acceptCompression: [] };
  }
  const found = compressions.get(compression);
  if (found === undefined) {
    throw new RangeError(`no compression ${Compression[compression]} here`);
  }
  return { acceptCompression: [found], sendCompression: found };
}

const compressions = new Map([
  [Compression.GZIP, compressionGzip],
  [Compression.BR, compressionBrotli],
  [Compression.ZSTD, compressionZstd],
]);
