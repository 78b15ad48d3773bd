import type { Contestant } from "./contestant.ts";

/** All contestants in the order of tables, each loaded when it is its turn. */
export const contestants: Readonly<Record<string, () => Promise<Contestant>>> = {
  "connect-quic": async () => (await import("./contestants/connect-quic.ts")).connect,
  "connect-quic-general": async () => (await import("./contestants/connect-quic.ts")).general,
  "connect-quic-grpc": async () => (await import("./contestants/connect-quic.ts")).grpc,
  "connect-quic-grpc-web": async () => (await import("./contestants/connect-quic.ts")).grpcWeb,
  "connect-quic-early": async () => (await import("./contestants/connect-quic.ts")).early,
  "connect-quic-url": async () => (await import("./contestants/connect-quic-url.ts")).noq,
  "connect-quic-quiche": async () => (await import("./contestants/connect-quic-url.ts")).quiche,
  "connect-node": async () => (await import("./contestants/connect-node.ts")).connect,
  "connect-node-grpc": async () => (await import("./contestants/connect-node.ts")).grpc,
  "grpc-js": async () => (await import("./contestants/grpc-js.ts")).grpcJs,
  "router-transport": async () =>
    (await import("./contestants/router-transport.ts")).routerTransport,
  "bare-engine": async () => (await import("./contestants/bare-engine.ts")).bareEngine,
  iroh: async () => (await import("./contestants/iroh.ts")).iroh,
  "libp2p-quic": async () => (await import("./contestants/libp2p.ts")).quic,
  "libp2p-tcp": async () => (await import("./contestants/libp2p.ts")).tcp,
};

/** The one that the others are compared with. */
export const baseline = "connect-node";

export async function loadContestant(name: string): Promise<Contestant> {
  const load = contestants[name];
  if (load === undefined) {
    throw new Error(`no contestant ${JSON.stringify(name)}`);
  }
  return load();
}
