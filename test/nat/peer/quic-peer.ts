// A peer of ours, through the public API.

import { formatSocketAddress } from "../../../src/base/socket-address.ts";
import type { DiscoverySource } from "../../../src/discovery/discovery.ts";
import { dnsDiscovery } from "../../../src/discovery/dns-discovery.ts";
import { pkarrPublisher } from "../../../src/discovery/pkarr-publisher.ts";
import type { BiStream, Connection } from "../../../src/endpoint/connection.ts";
import { Endpoint } from "../../../src/endpoint/endpoint.ts";
import { formatTransportAddr } from "../../../src/identity/transport-addr.ts";
import type { Directory } from "../lab/services.ts";
import {
  echoAlpn,
  type PeerConnection,
  type PeerEndpoint,
  type PeerOptions,
} from "./peer-endpoint.ts";
import type { PathKind } from "./peer-protocol.ts";
import { runPeer } from "./run-peer.ts";

runPeer(bindOurs);

/** It finds out its outside addresses by itself, and begins when it knows them: real iroh is told them before it begins. */
async function bindOurs(options: PeerOptions): Promise<PeerEndpoint> {
  const { bind, relay, stun = [], external = [], directory, onConnection } = options;
  const endpoint = await Endpoint.bind({
    bind,
    alpns: [echoAlpn],
    relays: relay === undefined ? [] : [relay],
    stunServers: stun,
    discovery: directory === undefined ? [] : sourcesOf(directory),
  });
  await endpoint.online();
  await knows(endpoint, external);
  void acceptAll(endpoint, onConnection ?? (() => {}));
  return {
    id: endpoint.id.toString(),
    ticket: () => endpoint.ticket(),
    dial: async (target) => peerConnection(await endpoint.connect(target, echoAlpn)),
    changeExternal: async () => {},
    close: () => endpoint.close(),
  };
}

function sourcesOf({ pkarr, dns, origin }: Directory): DiscoverySource[] {
  return [pkarrPublisher({ relay: pkarr }), dnsDiscovery({ origin, servers: [dns] })];
}

/** Waits until an endpoint has found its addresses; not for ever, since it may not. */
async function knows(endpoint: Endpoint, addresses: readonly string[]): Promise<void> {
  const signal = AbortSignal.timeout(addressesTimeoutMs);
  try {
    for await (const { addrs } of endpoint.watchAddr({ signal })) {
      const known = addrs.map((addr) =>
        addr.type === "ip" ? formatSocketAddress(addr.address) : "",
      );
      if (addresses.every((address) => known.includes(address))) {
        return;
      }
    }
  } catch (error) {
    if (!signal.aborted) {
      throw error;
    }
    console.error(`the endpoint has not found ${addresses.join(", ")}`);
  }
}

async function acceptAll(
  endpoint: Endpoint,
  onConnection: (connection: PeerConnection) => void,
): Promise<void> {
  for (;;) {
    const connection = await endpoint.accept();
    if (connection === undefined) {
      return;
    }
    onConnection(peerConnection(connection));
    void echoStreams(connection);
  }
}

async function echoStreams(connection: Connection): Promise<void> {
  for (;;) {
    const stream = await connection.acceptBi();
    if (stream === undefined) {
      return;
    }
    // A stream that fails is to be seen at the other end.
    void echoStream(stream).catch(() => {});
  }
}

async function echoStream({ send, receive }: BiStream): Promise<void> {
  for await (const bytes of receive) {
    await send.write(bytes);
  }
  await send.finish();
}

function peerConnection(connection: Connection): PeerConnection {
  return {
    echo: async (bytes) => {
      const { send, receive } = await connection.openBi();
      await send.write(bytes);
      // That the peer has all of it shows in its answer.
      void send.finish().catch(() => {});
      return receive.readToEnd(maxAnswerBytes);
    },
    openStream: async () => {
      const { send, receive } = await connection.openBi();
      return { write: (bytes) => send.write(bytes), read: () => receive.read() };
    },
    watchPath: (onPath) => watchActive(connection, onPath),
    closed: connection.closed.then((cause) => JSON.stringify(cause, writeBigint)),
  };
}

function watchActive(connection: Connection, onPath: (kind: PathKind, to: string) => void): void {
  let last: string | undefined;
  const look = (): void => {
    const active = connection.paths().find((path) => path.active);
    const to = active === undefined ? undefined : formatTransportAddr(active.remote);
    if (active !== undefined && to !== undefined && to !== last) {
      last = to;
      onPath(active.remote.type === "relay" ? "relay" : "direct", to);
    }
  };
  connection.onPathsChanged(look);
  look();
}

/** JSON has none. */
function writeBigint(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? Number(value) : value;
}

const addressesTimeoutMs = 5_000;
const maxAnswerBytes = 65_536;
