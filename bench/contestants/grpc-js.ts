import { once } from "node:events";
import type { Duplex, Writable } from "node:stream";
import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  credentials,
  type Client as GrpcClient,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerReadableStream,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import {
  BenchService,
  type ChatResponse,
  type DownloadRequest,
  type DownloadResponse,
  type EchoResponse,
  type UploadResponse,
} from "../../gen/connectquic/bench/v1/bench_pb.ts";
import { createSelfSignedCertificate } from "../../test/support/self-signed-certificate.ts";
import { type Caller, type Contestant, expectBytes } from "../contestant.ts";

const definition: ServiceDefinition = Object.fromEntries(
  BenchService.methods.map((method) => [
    method.localName,
    {
      path: `/${BenchService.typeName}/${method.name}`,
      requestStream:
        method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming",
      responseStream:
        method.methodKind === "server_streaming" || method.methodKind === "bidi_streaming",
      ...withPrefix("request", method.input),
      ...withPrefix("response", method.output),
    },
  ]),
) as unknown as ServiceDefinition;

export const grpcJs: Contestant = {
  title: "@grpc/grpc-js, gRPC over HTTP/2 with TLS",
  carries: "calls",
  lacks: { resumption: "grpc-js has no option for it" },
  async serve() {
    const { key, cert } = createSelfSignedCertificate();
    const server = new Server();
    server.addService(definition, implementation);
    const secrets = ServerCredentials.createSsl(null, [
      { private_key: Buffer.from(key), cert_chain: Buffer.from(cert) },
    ]);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", secrets, (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      ),
    );
    return {
      address: JSON.stringify({ port, cert }),
      close: async () => server.forceShutdown(),
    };
  },
  async open(address) {
    const { port, cert }: { port: number; cert: string } = JSON.parse(address);
    const BenchClient = makeGenericClientConstructor(definition, "Bench");
    return {
      async connect() {
        const client = new BenchClient(
          `127.0.0.1:${port}`,
          credentials.createSsl(Buffer.from(cert)),
          {
            "grpc.ssl_target_name_override": "localhost",
            // Clients would share a connection otherwise.
            "grpc.use_local_subchannel_pool": 1,
          },
        );
        return grpcCaller(client as unknown as BenchMethods & GrpcClient);
      },
      close: async () => {},
    };
  },
};

/** What grpc-js makes of the definition. */
interface BenchMethods {
  echo(request: Payload, callback: sendUnaryData<EchoResponse>): void;
  download(request: {
    readonly count: number;
    readonly size: number;
  }): AsyncIterable<DownloadResponse>;
  upload(callback: sendUnaryData<UploadResponse>): Duplex;
  chat(): Duplex & AsyncIterable<ChatResponse>;
}

interface Payload {
  readonly payload: Uint8Array;
}

const implementation: UntypedServiceImplementation = {
  echo: (call: { request: Payload }, callback: sendUnaryData<Payload>) =>
    callback(null, { payload: call.request.payload }),
  download: async (call: ServerWritableStream<DownloadRequest, Payload>) => {
    const { count, size } = call.request;
    await writeAll(call, count, new Uint8Array(size));
  },
  upload: async (
    call: ServerReadableStream<Payload, unknown>,
    callback: sendUnaryData<{ readonly bytes: bigint }>,
  ) => {
    let bytes = 0;
    for await (const { payload } of call as AsyncIterable<Payload>) {
      bytes += payload.length;
    }
    callback(null, { bytes: BigInt(bytes) });
  },
  chat: (call: ServerDuplexStream<Payload, Payload>) => {
    // Not by an async iterator, which destroys what it has read to the end, together with what was not sent yet.
    call.on("data", ({ payload }: Payload) => {
      if (!call.write({ payload })) {
        call.pause();
      }
    });
    call.on("drain", () => call.resume());
    call.on("end", () => call.end());
  },
};

function grpcCaller(client: BenchMethods & GrpcClient): Caller {
  const held: Duplex[] = [];
  return {
    async echo(payload) {
      const answer = await called<EchoResponse>((callback) => client.echo({ payload }, callback));
      expectBytes(answer.payload.length, payload.length);
    },
    async download(count, size) {
      let bytes = 0;
      for await (const { payload } of client.download({ count, size })) {
        bytes += payload.length;
      }
      expectBytes(bytes, count * size);
    },
    async upload(count, payload) {
      const answer = await called<UploadResponse>((callback) => {
        void writeAll(client.upload(callback), count, payload);
      });
      expectBytes(Number(answer.bytes), count * payload.length);
    },
    async chat(count, payload) {
      const call = client.chat();
      const written = writeAll(call, count, payload);
      let bytes = 0;
      for await (const answer of call) {
        bytes += answer.payload.length;
      }
      await written;
      expectBytes(bytes, count * payload.length);
    },
    async hold(payload) {
      const call = client.chat();
      // Closing ends it with an error.
      call.on("error", () => {});
      call.write({ payload });
      const [answer] = (await once(call, "data")) as [ChatResponse];
      expectBytes(answer.payload.length, payload.length);
      held.push(call);
    },
    async close() {
      client.close();
    },
  };
}

function called<T>(begin: (callback: sendUnaryData<T>) => void): Promise<T> {
  return new Promise((resolve, reject) =>
    begin((error, answer) => (error === null && answer != null ? resolve(answer) : reject(error))),
  );
}

async function writeAll(call: Writable, count: number, payload: Uint8Array): Promise<void> {
  for (let sent = 0; sent < count; sent++) {
    if (!call.write({ payload })) {
      await once(call, "drain");
    }
  }
  call.end();
}

/** How messages of a kind become bytes, under the names that grpc-js gives it for requests and responses. */
function withPrefix<T extends DescMessage>(prefix: "request" | "response", schema: T): object {
  return {
    [`${prefix}Serialize`]: (message: MessageInitShape<T>) =>
      Buffer.from(toBinary(schema, create(schema, message))),
    [`${prefix}Deserialize`]: (bytes: Uint8Array) => fromBinary(schema, bytes),
  };
}
