// Ours: peers in two processes, over QUIC.

import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { TestService } from "../../gen/connectquic/test/v1/test_pb.ts";
import { createQuicTransport, Endpoint, type QuicTransport, type Wire } from "../../src/index.ts";
import { startProgram } from "../support/process.ts";
import type {
  Capabilities,
  Capability,
  RunningSubject,
  Subject,
  TransportConfig,
} from "./subject.ts";

/** What the server process of the QUIC subject says of itself. */
export interface QuicGreeting {
  readonly ticket: string;
}

export const quicSubject: Subject = {
  name: "createQuicTransport",
  capabilities: capabilities(true),
  start: () => start([]),
};

/** Calls that nothing could tell from others, but for an interceptor on each side: so they go the general way. */
export const generalQuicSubject: Subject = {
  name: "createQuicTransport, with interceptors",
  capabilities: capabilities("has one way for all calls"),
  start: () => start([passOn]),
};

/** gRPC as the Rust crate tonic-iroh-transport has it. */
export const tonicIrohSubject: Subject = {
  name: 'createQuicTransport, wire "tonic-iroh"',
  capabilities: {
    ...capabilities(true),
    connect: "the wire carries gRPC",
    "grpc-web": "the wire carries gRPC",
  },
  deviations: [
    {
      tests: ["a service that the server lacks is Unimplemented"],
      reason: "it is a protocol that the server lacks, and the handshake fails: Unavailable",
    },
  ],
  start: () => start([], "tonic-iroh"),
};

/** Does nothing. */
export const passOn: Interceptor = (next) => next;

function capabilities(otherProtocols: Capability): Capabilities {
  return {
    connect: true,
    grpc: otherProtocols,
    "grpc-web": otherProtocols,
    json: true,
    compression: true,
    fullDuplex: true,
    ahead: true,
    backpressure: true,
    leave: "its calls are those of connect-es, whose responses have no `return`",
    peerIdentity: true,
    disconnect: true,
  };
}

async function start(
  interceptors: Interceptor[],
  wire: Wire = "connect-quic",
): Promise<RunningSubject> {
  const server = await startProgram(new URL("./server-process.ts", import.meta.url), {
    args: ["--wire", interceptors.length === 0 ? "quic" : "intercepted-quic"],
  });
  const { ticket } = server.greeting as QuicGreeting;
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const transports: QuicTransport[] = [];
  const create = (config: TransportConfig): QuicTransport => {
    const transport = createQuicTransport({
      endpoint,
      to: ticket,
      wire,
      ...config,
      // The stage listens to handlers by a transport of its own, for which any protocol will do.
      protocol: wire === "connect-quic" ? config.protocol : "grpc",
      interceptors: [...(config.interceptors ?? []), ...interceptors],
    });
    transports.push(transport);
    return transport;
  };
  const held = create({ protocol: wire === "connect-quic" ? "connect" : "grpc" });
  // There, each service has a connection of its own, and a transport knows that of the last one it has called.
  if (wire === "tonic-iroh") {
    await createClient(TestService, held).unary({});
  }
  return {
    transport: (config): Transport => create(config),
    peerId: endpoint.id.toString(),
    disconnect: async () => {
      const connection = await held.connect();
      await connection.close();
    },
    close: async () => {
      await Promise.all(transports.map((transport) => transport.close({ timeoutMs: 0 })));
      await endpoint.close();
      await server.close();
    },
  };
}
