// Ours by URL: a program that knows a server's name, and a peer that shows a certificate for it; over QUIC, in two
// processes.

import { createQuicTransport, type UrlTransport } from "../../src/index.ts";
import { startProgram } from "../support/process.ts";
import type { RunningSubject, Subject } from "./subject.ts";

/** What the server process of the URL subject says of itself. */
export interface UrlGreeting {
  readonly url: `https://${string}`;
  /** Who vouches for it, in PEM. */
  readonly authority: string;
}

export const urlSubject: Subject = {
  name: "createQuicTransport, by URL",
  capabilities: {
    connect: true,
    grpc: true,
    "grpc-web": true,
    json: true,
    compression: true,
    fullDuplex: true,
    ahead: true,
    backpressure: true,
    leave: "its calls are those of connect-es, whose responses have no `return`",
    peerIdentity: "callers by URL have no key",
    disconnect: "a transport by URL shows nobody its connection",
  },
  start,
};

async function start(): Promise<RunningSubject> {
  const server = await startProgram(new URL("./server-process.ts", import.meta.url), {
    args: ["--wire", "url"],
  });
  const { url, authority } = server.greeting as UrlGreeting;
  const transports: UrlTransport[] = [];
  return {
    transport: (config) => {
      const transport = createQuicTransport({ to: url, ca: authority, ...config });
      transports.push(transport);
      return transport;
    },
    close: async () => {
      await Promise.all(transports.map((transport) => transport.close({ timeoutMs: 0 })));
      await server.close();
    },
  };
}
