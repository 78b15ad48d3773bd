// A relay server in one's own program, for peers of ours and of iroh.

export { RelayError, type RelayErrorCode } from "./relay/relay-error.ts";
export type { AccessRequest, AuthorizeRelayClient } from "./relay/server/relay-access.ts";
export { allowIds, denyIds, requireToken } from "./relay/server/relay-access.ts";
export type { CloseRelayOptions } from "./relay/server/relay-core.ts";
export type { RelayLimits } from "./relay/server/relay-limits.ts";
export type { ListenAddress, RelayCertificate } from "./relay/server/relay-listener.ts";
export type { RelayMetrics } from "./relay/server/relay-metrics.ts";
export type { RelayServerOptions } from "./relay/server/relay-server.ts";
export { RelayServer } from "./relay/server/relay-server.ts";
