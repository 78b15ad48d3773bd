// Ours, the other way round: the services are at a peer that has dialed, and is called back.

import type { Peer } from "../../src/index.ts";
import { createPeerRouter, createQuicTransport, Endpoint, peerKey } from "../../src/index.ts";
import { startProgram } from "../support/process.ts";
import { allCompressions } from "./compressions.ts";
import type { RunningSubject, Subject } from "./subject.ts";
import { registerTestServices } from "./test-service.ts";

/** The services in a process of their own. */
export const reverseSubject: Subject = subject("the transport of a peer that has dialed", (hub) =>
  startProgram(new URL("./server-process.ts", import.meta.url), {
    args: ["--wire", "reverse-quic", "--to", hub],
  }),
);

/** Without another process, for a look. */
export const nearReverseSubject: Subject = subject(
  "the transport of a peer of this process that has dialed",
  serveHub,
);

/** A peer that dials the hub and serves it the test services. */
export async function serveHub(hub: string): Promise<{ close(): Promise<void> }> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const router = createPeerRouter(endpoint, { acceptCompression: [...allCompressions] });
  registerTestServices(router, {
    peerId: (context) => context.values.get(peerKey).id.toString(),
  });
  const transport = createQuicTransport({ endpoint, to: hub, serve: router });
  return {
    close: async () => {
      await transport.close({ timeoutMs: 0 });
      await router.close({ graceMs: 0 });
      await endpoint.close();
    },
  };
}

function subject(
  name: string,
  startPeer: (hub: string) => Promise<{ close(): Promise<void> }>,
): Subject {
  return {
    name,
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
      peerIdentity: true,
      disconnect: true,
    },
    start: () => start(startPeer),
  };
}

async function start(
  startPeer: (hub: string) => Promise<{ close(): Promise<void> }>,
): Promise<RunningSubject> {
  const endpoint = await Endpoint.bind({ bind: "127.0.0.1:0" });
  const router = createPeerRouter(endpoint);
  const opened = new Promise<Peer>((resolve) => {
    router.peers.onOpened(resolve);
  });
  const served = await startPeer(endpoint.ticket());
  const peer = await opened;
  return {
    // It dials again after `disconnect`, which is no error of the calls that come meanwhile.
    transport: (config) => peer.transport({ ...config, waitForReady: true }),
    peerId: endpoint.id.toString(),
    disconnect: async () => {
      await router.peers.get(peer.id)?.connection.close({ timeoutMs: 0 });
    },
    close: async () => {
      await served.close();
      await router.close({ graceMs: 0 });
      await endpoint.close();
    },
  };
}
