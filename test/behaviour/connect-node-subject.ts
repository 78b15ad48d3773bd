// connect-es's own client and server over HTTP/2, in two processes: what the suite measures itself against.

import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { startProgram } from "../support/process.ts";
import type { Deviation, RunningSubject, Subject, TransportConfig } from "./subject.ts";

/** What the server process of a connect-node subject says of itself. */
export interface ConnectNodeGreeting {
  readonly port: number;
  /** PEM, of a server with TLS. */
  readonly certificate?: string;
}

export function connectNodeSubject(wire: "h2c" | "h2"): Subject {
  return {
    name: wire === "h2" ? "connect-node (HTTP/2 with TLS)" : "connect-node (HTTP/2 without TLS)",
    capabilities: {
      connect: true,
      grpc: true,
      "grpc-web": true,
      fullDuplex: true,
      ahead: true,
      backpressure: true,
      leave: "the responses of connect-es have no `return`",
      peerIdentity: "HTTP/2 servers do not know their callers",
      disconnect: true,
    },
    deviations,
    start: () => start(wire),
  };
}

const deviations: readonly Deviation[] = [];

async function start(wire: "h2c" | "h2"): Promise<RunningSubject> {
  const server = await startProgram(new URL("./server-process.ts", import.meta.url), {
    args: ["--wire", wire],
  });
  const { port, certificate } = server.greeting as ConnectNodeGreeting;
  let socket: Socket | undefined;
  const baseUrl = `${certificate === undefined ? "http" : "https"}://127.0.0.1:${port}`;
  const session = new Http2SessionManager(baseUrl, undefined, {
    createConnection: () => {
      socket =
        certificate === undefined
          ? connect(port, "127.0.0.1")
          : connectTls(port, "127.0.0.1", { ca: certificate, ALPNProtocols: ["h2"] });
      return socket;
    },
  });
  return {
    transport: (config) => createTransport(config, baseUrl, session),
    disconnect: async () => {
      socket?.destroy();
    },
    close: async () => {
      session.abort();
      await server.close();
    },
  };
}

function createTransport(
  { protocol, ...config }: TransportConfig,
  baseUrl: string,
  sessionManager: Http2SessionManager,
): Transport {
  const options = { ...config, baseUrl, sessionManager };
  switch (protocol) {
    case "connect":
      return createConnectTransport({ ...options, httpVersion: "2" });
    case "grpc":
      return createGrpcTransport(options);
    case "grpc-web":
      return createGrpcWebTransport({ ...options, httpVersion: "2" });
    default:
      return protocol satisfies never;
  }
}
