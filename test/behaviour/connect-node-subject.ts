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
import { kinds } from "./kinds.ts";
import type { Deviation, RunningSubject, Subject, TransportConfig } from "./subject.ts";

/** What the server process of a connect-node subject says of itself. */
export interface ConnectNodeGreeting {
  readonly port: number;
  /** PEM, of a server with TLS. */
  readonly certificate?: string;
}

type Wire = "h2c" | "h2" | "bridge";

const names: Readonly<Record<Wire, string>> = {
  h2c: "connect-node (HTTP/2 without TLS)",
  h2: "connect-node (HTTP/2 with TLS)",
  bridge: "connect-node (HTTP/2 with TLS), over the bridge of a peer router",
};

export function connectNodeSubject(wire: Wire): Subject {
  return {
    name: names[wire],
    capabilities: {
      connect: true,
      grpc: true,
      "grpc-web": true,
      json: true,
      compression: true,
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

const kindNames = Object.keys(kinds);

const nodeMajor = Number(process.versions.node.split(".")[0]);

const deviations: readonly Deviation[] = [
  {
    tests: kindNames.map(
      (kind) =>
        `a ${kind} call that takes too long is DeadlineExceeded, and its handler learns of it`,
    ),
    reason: "the client resets with INTERNAL_ERROR when its own deadline comes first",
    outcome: "varies",
  },
  {
    tests: [
      "abort during upload ends the call on both sides",
      "messages that end on abort do not make the call look complete",
      "abort between the messages of a stream ends the call on both sides",
    ],
    reason:
      "Node's http2 ends a request before it resets it, and the handler takes it for complete",
  },
  {
    tests: ["F17: a handler can tell that the connection was lost"],
    reason: "Node's http2 calls a lost connection CANCEL",
  },
  {
    tests: ["F16: a handler that is held up is ended by abort"],
    reason: "the server waits for ever to write to a stream that was closed",
    outcome: "hangs",
  },
  ...(nodeMajor < 24
    ? []
    : [
        {
          tests: [
            "an error after 1 responses comes after them",
            "an error after 20 responses comes after them",
          ],
          protocols: ["grpc"],
          reason:
            "from Node.js 24 on its client reports a premature close, not the status in the trailer",
          outcome: "varies",
        } as const,
      ]),
];

async function start(wire: Wire): Promise<RunningSubject> {
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
