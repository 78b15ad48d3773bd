// Calls through a stream of another call: tunnels, forward and reverse, as github.com/jhump/grpctunnel has them.

export { TunnelService } from "./tunnel/gen/grpctunnel/v1/tunnel_pb.ts";
export type { ReverseTunnelOptions, ReverseTunnelServer } from "./tunnel/reverse-tunnel-server.ts";
export { serveReverseTunnel } from "./tunnel/reverse-tunnel-server.ts";
export type { ReverseTunnel, TunnelHost, TunnelHostOptions } from "./tunnel/tunnel-host.ts";
export { createTunnelHost } from "./tunnel/tunnel-host.ts";
export type { TunnelOfCall } from "./tunnel/tunnel-key.ts";
export { tunnelKey } from "./tunnel/tunnel-key.ts";
export type { TunnelLimits } from "./tunnel/tunnel-limits.ts";
export type {
  CloseTunnelOptions,
  OpenTunnelOptions,
  TunnelCallOptions,
  TunnelOptions,
} from "./tunnel/tunnel-options.ts";
export type { OpenTunnelPool, PooledTunnel, TunnelPool } from "./tunnel/tunnel-pool.ts";
export { createTunnelPool } from "./tunnel/tunnel-pool.ts";
export type { TunnelRouterOptions, TunnelRoutesFn } from "./tunnel/tunnel-routes.ts";
export type { TunnelTransport, TunnelTransportOptions } from "./tunnel/tunnel-transport.ts";
export { createTunnelTransport } from "./tunnel/tunnel-transport.ts";
