// Calls between peers: what most programs need.

export type {
  Authorize,
  ConnectOptions,
  EndpointOptions,
  IncomingPeer,
  RelayOptions,
} from "./endpoint/endpoint.ts";
export { Endpoint } from "./endpoint/endpoint.ts";
export type { N0Options } from "./endpoint/presets.ts";
export { n0Relays, presets } from "./endpoint/presets.ts";
export type { ConnectionPath, RemoteInfo } from "./endpoint/remote-info.ts";
export type { WorkerEndpointOptions } from "./endpoint/worker-endpoint.ts";
export { bindWorkerEndpoint } from "./endpoint/worker-endpoint.ts";
export type { WorkerPool, WorkerPoolOptions } from "./endpoint/worker-pool.ts";
export { serveOnWorkers } from "./endpoint/worker-pool.ts";
export { H3Error } from "./http3/h3-error.ts";
export type { NatMapping } from "./net/nat-mapping.ts";
export type { FamilyReport, NetReport, RelayReport } from "./net/net-report.ts";
export { connectQuicAlpn, tonicIrohAlpn } from "./rpc/alpn.ts";
export { callComplete } from "./rpc/call-scope.ts";
export type { Caller, Peer, WebCaller } from "./rpc/caller.ts";
export { callerKey, peerKey } from "./rpc/caller.ts";
export type { ChannelState } from "./rpc/channel.ts";
export type { CallTransport } from "./rpc/channel-transport.ts";
export { compressionZstd } from "./rpc/compression-zstd.ts";
export { compressionBrotli, compressionGzip } from "./rpc/compressions.ts";
export type { CorsOptions } from "./rpc/cors.ts";
export type { RouterHealth } from "./rpc/health.ts";
export type { LivePeers } from "./rpc/live-peers.ts";
export type { BridgeOptions, NodeRequestHandler } from "./rpc/node-bridge.ts";
export { createPeerClient } from "./rpc/peer-client.ts";
export type { PeerRouter, PeerRouterOptions } from "./rpc/peer-router.ts";
export { createPeerRouter } from "./rpc/peer-router.ts";
export type { PeerSource, PeerSourceChange, SourcePeer } from "./rpc/peer-source.ts";
export type { QuicTransport } from "./rpc/peer-transport.ts";
export type { Protocol } from "./rpc/protocol-transport.ts";
export type { ListenOptions, Pem, PublicListener } from "./rpc/public-listener.ts";
export { createQuicTransport } from "./rpc/quic-transport.ts";
export type {
  CallTransportOptions,
  LiveTransportOptions,
  PeerPolicy,
  QuicTransportOptions,
  ServiceTransportOptions,
  TransportToOptions,
  UrlTransportOptions,
} from "./rpc/quic-transport-options.ts";
export type {
  AuthorizeCall,
  PeerServiceOptions,
} from "./rpc/service-routes.ts";
export type { ServicePeer, ServiceTransport } from "./rpc/service-transport.ts";
export type { UrlTransport } from "./rpc/url-transport.ts";
export type { Wire } from "./rpc/wire.ts";

// Identities and addresses, as iroh has them.

export type { EndpointAddrJson } from "./identity/addr-json.ts";
export type { CustomAddr } from "./identity/custom-addr.ts";
export type { EndpointAddrInit } from "./identity/endpoint-addr.ts";
export { EndpointAddr } from "./identity/endpoint-addr.ts";
export { EndpointId } from "./identity/endpoint-id.ts";
export { EndpointTicket } from "./identity/endpoint-ticket.ts";
export type { IdentityErrorCode } from "./identity/identity-error.ts";
export { IdentityError } from "./identity/identity-error.ts";
export type { LoadKeyFileOptions } from "./identity/key-file.ts";
export type { RelayUrl } from "./identity/relay-url.ts";
export { parseRelayUrl } from "./identity/relay-url.ts";
export type { KeyFormat, SaveKeyOptions } from "./identity/secret-key.ts";
export { SecretKey } from "./identity/secret-key.ts";
export type { Target } from "./identity/target.ts";
export { parseTarget } from "./identity/target.ts";
export type { IpAddr, RelayAddr, TransportAddr } from "./identity/transport-addr.ts";
export { formatTransportAddr } from "./identity/transport-addr.ts";
export { verify } from "./identity/verify.ts";

// Where peers are: sources of addresses.

export type {
  DiscoveredAddr,
  Discovery,
  DiscoveryContext,
  DiscoverySource,
  OwnAddr,
} from "./discovery/discovery.ts";
export type { DiscoveryErrorCode } from "./discovery/discovery-error.ts";
export { DiscoveryError } from "./discovery/discovery-error.ts";
export { dnsDiscovery } from "./discovery/dns-discovery.ts";
export { localNetwork } from "./discovery/local-network.ts";
export { mainlineDht } from "./discovery/mainline-dht.ts";
export { n0Origins } from "./discovery/n0-origins.ts";
export { pkarrPublisher } from "./discovery/pkarr-publisher.ts";
export { pkarrResolver } from "./discovery/pkarr-resolver.ts";
export { staticDiscovery } from "./discovery/static-discovery.ts";

// Protocols of one's own: connections and streams.

export type { SocketAddress } from "./base/socket-address.ts";
export type { BiStream, CloseOptions } from "./endpoint/connection.ts";
export { Connection } from "./endpoint/connection.ts";
export type { EndpointErrorCode } from "./endpoint/endpoint-error.ts";
export { closeCode, EndpointError } from "./endpoint/endpoint-error.ts";
export type { ProtocolHandler } from "./endpoint/protocol-handler.ts";
export { ReceiveStream } from "./endpoint/receive-stream.ts";
export { Router } from "./endpoint/router.ts";
export { SendStream } from "./endpoint/send-stream.ts";

// For who extends or tests connect-quic: engines, networks, clocks.

export type { Platform, Timer } from "./base/platform.ts";
export type {
  CloseCause,
  ConnectionStats,
  EndpointStats,
  Engine,
  IncomingLimits,
  PathInfo,
  TransportOptions,
} from "./engine/engine.ts";
export { defaultIncomingLimits, defaultTransportOptions } from "./engine/engine.ts";
export type { BindSocket, DatagramSocket, DatagramSocketHandler } from "./net/datagram-socket.ts";
