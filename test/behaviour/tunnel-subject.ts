// Tunnels: the test services behind a stream of another call, which goes over our own transport or over HTTP/2. In a
// reverse tunnel the process with the services is the one that dials.

import { once } from "node:events";
import { createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { createClient, type Transport } from "@connectrpc/connect";
import {
  connectNodeAdapter,
  createGrpcTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { createPeerRouter, createQuicTransport, Endpoint } from "../../src/index.ts";
import {
  createTunnelHost,
  createTunnelTransport,
  type TunnelCallOptions,
  type TunnelHost,
  TunnelService,
  type TunnelTransport,
} from "../../src/tunnel.ts";
import { startProgram } from "../support/process.ts";
import type { ConnectNodeGreeting } from "./connect-node-subject.ts";
import type { QuicGreeting } from "./quic-subject.ts";
import type { RunningSubject, Subject, TransportConfig } from "./subject.ts";

/** What carries a tunnel. */
export type Carrier = "quic" | "h2c";

const carriers: Readonly<Record<Carrier, string>> = { quic: "QUIC", h2c: "connect-node" };

const onlyGrpc = "calls through a tunnel are all of one protocol, which their handlers see as gRPC";

export function tunnelSubject(direction: "forward" | "reverse", carrier: Carrier): Subject {
  return {
    name: `a ${direction} tunnel over ${carriers[carrier]}`,
    capabilities: {
      connect: onlyGrpc,
      grpc: true,
      "grpc-web": onlyGrpc,
      json: "messages in a tunnel are binary",
      compression: "messages in a tunnel are not compressed, but perhaps its frames",
      fullDuplex: true,
      ahead: true,
      backpressure: true,
      leave: "its calls are those of connect-es, whose responses have no `return`",
      peerIdentity: carrier === "quic" ? true : "nobody knows the caller's key",
      disconnect: direction === "forward" ? true : "only the other process could",
    },
    start: direction === "forward" ? () => startForward(carrier) : () => startReverse(carrier),
  };
}

async function startForward(carrier: Carrier): Promise<RunningSubject> {
  const server = await startProgram(new URL("./server-process.ts", import.meta.url), {
    args: ["--wire", `tunnel-${carrier}`],
  });
  const outer =
    carrier === "quic"
      ? await quicCarrier(server.greeting as QuicGreeting)
      : http2Carrier(server.greeting as ConnectNodeGreeting);
  const tunnels: TunnelTransport[] = [];
  const client = createClient(TunnelService, outer.transport);
  const open = (config: TransportConfig): TunnelTransport => {
    const tunnel = createTunnelTransport(client, callOptions(config));
    tunnels.push(tunnel);
    return tunnel;
  };
  return {
    ...outer,
    // Only what looks on asks for the Connect protocol, and that has to go on when the connection was lost.
    transport: (config) => (config.protocol === "connect" ? reopening(open) : open(config)),
    close: async () => {
      await Promise.all(tunnels.map((tunnel) => tunnel.close()));
      await outer.close();
      await server.close();
    },
  };
}

/** A tunnel, and another one when that is closed. */
function reopening(open: (config: TransportConfig) => TunnelTransport): Transport {
  let tunnel: TunnelTransport | undefined;
  const current = (): TunnelTransport => {
    if (tunnel === undefined || tunnel.closeCause !== undefined) {
      tunnel = open({ protocol: "connect" });
    }
    return tunnel;
  };
  return {
    unary: (...args) => current().unary(...args),
    stream: (...args) => current().stream(...args),
  };
}

interface OuterTransport {
  readonly transport: Transport;
  readonly peerId?: string;
  disconnect(): Promise<void>;
  close(): Promise<void>;
}

async function quicCarrier({ ticket }: QuicGreeting): Promise<OuterTransport> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const transport = createQuicTransport({ endpoint, to: ticket });
  return {
    transport,
    peerId: endpoint.id.toString(),
    disconnect: async () => {
      const connection = await transport.connect();
      await connection.close();
    },
    close: () => endpoint.close(),
  };
}

function http2Carrier({ port }: ConnectNodeGreeting): OuterTransport {
  const baseUrl = `http://127.0.0.1:${port}`;
  const sessionManager = new Http2SessionManager(baseUrl);
  return {
    transport: createGrpcTransport({ baseUrl, sessionManager }),
    disconnect: async () => sessionManager.abort(),
    close: async () => sessionManager.abort(),
  };
}

async function startReverse(carrier: Carrier): Promise<RunningSubject> {
  const host = createTunnelHost();
  const outer = await (carrier === "quic" ? listenForPeers(host) : listenToHttp2(host));
  const server = await startProgram(new URL("./server-process.ts", import.meta.url), {
    args: ["--wire", `reverse-tunnel-${carrier}`, "--to", outer.address],
  });
  await host.transport().waitForReady();
  return {
    ...(outer.peerId === undefined ? {} : { peerId: outer.peerId }),
    transport: (config) => host.transport(callOptions(config)),
    close: async () => {
      await host.close();
      await server.close();
      await outer.close();
    },
  };
}

interface Listening {
  readonly address: string;
  readonly peerId?: string;
  close(): Promise<void>;
}

async function listenForPeers(host: TunnelHost): Promise<Listening> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const router = createPeerRouter(endpoint);
  router.service(TunnelService, host.service);
  return {
    address: endpoint.ticket(),
    peerId: endpoint.id.toString(),
    close: async () => {
      await router.close({ graceMs: 0 });
      await endpoint.close();
    },
  };
}

async function listenToHttp2(host: TunnelHost): Promise<Listening> {
  const server = createServer(
    connectNodeAdapter({ routes: (router) => router.service(TunnelService, host.service) }),
  );
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => sessions.add(session));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      server.close();
      for (const session of sessions) {
        session.destroy();
      }
    },
  };
}

/** The suite's own default, as for other transports. */
function callOptions(config: TransportConfig): TunnelCallOptions {
  const { interceptors, readMaxBytes, writeMaxBytes, defaultTimeoutMs } = config;
  return {
    ...(interceptors === undefined ? {} : { interceptors }),
    ...(readMaxBytes === undefined ? {} : { readMaxBytes }),
    ...(writeMaxBytes === undefined ? {} : { writeMaxBytes }),
    ...(defaultTimeoutMs === undefined ? {} : { defaultTimeoutMs }),
  };
}
