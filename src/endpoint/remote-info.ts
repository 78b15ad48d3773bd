import type { SocketAddress } from "../base/socket-address.ts";
import type { EngineConnection, PathInfo } from "../engine/engine.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { TransportAddr } from "../identity/transport-addr.ts";
import type { RemotePaths } from "../net/remote-paths.ts";

/** A path of a connection, by an address that means something to people. */
export interface ConnectionPath extends Omit<PathInfo, "remote"> {
  /** An IP address for a direct path, or the relay. */
  readonly remote: TransportAddr;
}

/** What an endpoint knows of a peer. */
export interface RemoteInfo {
  readonly id: EndpointId;
  /** How data reaches the peer now: "none" without a connection. */
  readonly reachedBy: "direct" | "relay" | "none";
  /** Addresses at which it is or may be. */
  readonly addrs: readonly TransportAddr[];
  /** Of all connections with it. */
  readonly paths: readonly ConnectionPath[];
  /** Round-trip time of the path in use, milliseconds; undefined without a connection. */
  readonly latencyMs: number | undefined;
  /** Over all paths that are there. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

export function connectionPathsOf(
  connection: EngineConnection,
  transportAddrOf: (address: SocketAddress) => TransportAddr,
): ConnectionPath[] {
  return connection.paths().map((path) => ({ ...path, remote: transportAddrOf(path.remote) }));
}

export function remoteInfoOf(
  id: EndpointId,
  known: {
    readonly paths: RemotePaths;
    readonly connectionPaths: readonly ConnectionPath[];
    readonly transportAddrOf: (address: SocketAddress) => TransportAddr;
  },
): RemoteInfo {
  const { connectionPaths: paths, transportAddrOf } = known;
  const inUse = paths.find(({ active }) => active);
  return {
    id,
    reachedBy: inUse === undefined ? "none" : inUse.remote.type === "relay" ? "relay" : "direct",
    addrs: known.paths.known.map(transportAddrOf),
    paths,
    latencyMs: inUse?.rttMs,
    bytesSent: paths.reduce((sum, { bytesSent }) => sum + bytesSent, 0),
    bytesReceived: paths.reduce((sum, { bytesReceived }) => sum + bytesReceived, 0),
  };
}
