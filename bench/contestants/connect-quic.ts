// Ours between peers: each protocol, and Connect with an interceptor on both sides, which has all calls go the general way.

import type { Interceptor } from "@connectrpc/connect";
import {
  connectQuicAlpn,
  createPeerClient,
  createPeerRouter,
  createQuicTransport,
  Endpoint,
  type EndpointAddr,
  type Protocol,
  parseTarget,
  type TransportOptions,
} from "connect-quic";
import { BenchService } from "../../gen/connectquic/bench/v1/bench_pb.ts";
import { registerBenchService } from "../../gen/connectquic/bench/v1/bench_quic.ts";
import { connectionLost } from "../../src/endpoint/endpoint-error.ts";
import { Http3Connection } from "../../src/http3/http3-connection.ts";
import { Channel } from "../../src/rpc/channel.ts";
import { ChannelTransport } from "../../src/rpc/channel-transport.ts";
import { resolveTransportOptions } from "../../src/rpc/quic-transport-options.ts";
import type { Conditions, Contestant } from "../contestant.ts";
import { benchCaller, benchService } from "./bench-service.ts";

export const connect: Contestant = peers("connect-quic, Connect", "connect");
export const grpc: Contestant = peers("connect-quic, gRPC", "grpc");
export const grpcWeb: Contestant = peers("connect-quic, gRPC-Web", "grpc-web");
export const general: Contestant = peers("connect-quic, Connect with interceptors", "connect", {
  interceptors: [(next) => (request) => next(request)],
});
export const early: Contestant = peers("connect-quic, Connect with early data", "connect", {
  earlyData: true,
});

interface Extras {
  readonly interceptors?: readonly Interceptor[];
  readonly earlyData?: boolean;
}

function peers(
  title: string,
  protocol: Protocol,
  { interceptors = [], earlyData = false }: Extras = {},
): Contestant {
  return {
    title,
    carries: "calls",
    async serve(conditions) {
      const endpoint = await bind(conditions, earlyData);
      const router = createPeerRouter(endpoint, {
        interceptors: [...interceptors],
        maxConcurrentCalls: conditions.streams ?? 1_000,
      });
      registerBenchService(router, benchService);
      return { address: endpoint.ticket(), close: () => endpoint.close() };
    },
    async open(address, conditions) {
      const endpoint = await bind(conditions);
      const options = { protocol, interceptors, earlyData, acceptCompression: [] };
      let shared = false;
      return {
        async connect() {
          // Transports of an endpoint to a peer share a connection. Those after the first have to be kept apart.
          const transport = shared
            ? apartTransport(endpoint, parseTarget(address), options)
            : createQuicTransport({ endpoint, to: address, ...options });
          const first = !shared;
          shared = true;
          return benchCaller(createPeerClient(BenchService, transport), async () => {
            await transport.close();
            shared &&= !first;
          });
        },
        close: () => endpoint.close(),
      };
    },
  };
}

function bind(conditions: Conditions, acceptEarlyData = false): Promise<Endpoint> {
  const transport = transportOptions(conditions);
  return Endpoint.bind({ bind: "127.0.0.1:0", acceptEarlyData, transport });
}

/** How QUIC is to be under these conditions. */
export function transportOptions({ maxDatagram, streams }: Conditions): Partial<TransportOptions> {
  return {
    // Those that are held do not end while others are made.
    idleTimeoutMs: 300_000,
    ...(maxDatagram === undefined
      ? {}
      : { initialMtu: maxDatagram, maxMtu: maxDatagram, loopbackMtu: 0 }),
    ...(streams === undefined ? {} : { maxBidirectionalStreams: streams }),
  };
}

/** As `createQuicTransport` makes it, with a connection that no other transport has. */
function apartTransport(
  endpoint: Endpoint,
  to: EndpointAddr,
  options: { readonly protocol: Protocol; readonly interceptors: readonly Interceptor[] },
): ChannelTransport {
  const { platform } = endpoint;
  const resolved = resolveTransportOptions(options);
  const channel = new Channel({
    peer: to.id.short,
    platform,
    dial: async (events, dialOptions) => {
      const connection = await endpoint.connect(to, connectQuicAlpn, dialOptions);
      const { connection: engine, start } = connection.handOver((grace) => session.shutdown(grace));
      const session = new Http3Connection(engine, {
        role: "client",
        platform,
        keepAlive: resolved.keepAlive,
        keepAliveMs: resolved.keepAliveIntervalMs,
        onGoaway: events.goingAway,
        onClosed: (cause) => events.closed(connectionLost(cause, to.id.short)),
      });
      start();
      return session;
    },
  });
  return new ChannelTransport({
    channel,
    context: { dialTimeoutMs: resolved.dialTimeoutMs, platform, hold: () => endpoint.hold() },
    protocol: resolved.protocol,
    calls: { ...resolved.common, baseUrl: `https://${to.id.toBase32()}.iroh.invalid` },
    release: (grace) => channel.disconnect(grace),
  });
}
