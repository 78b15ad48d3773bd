// Who is there: peers register with what they serve, and find each other by it.

export { FoundPeer } from "./rendezvous/found-peer.ts";
export { RendezvousService } from "./rendezvous/gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
export type {
  RegisteringPeer,
  RegisterOptions,
  RegistrationContent,
  RegistrationState,
} from "./rendezvous/kept-registration.ts";
export { KeptRegistration } from "./rendezvous/kept-registration.ts";
export type { Pair, PairEnd, PairOptions } from "./rendezvous/pair.ts";
export type { PeerQuery } from "./rendezvous/peer-query.ts";
export type { PeerChange, WatchOptions } from "./rendezvous/peer-watch.ts";
export { registrationLimits } from "./rendezvous/registration.ts";
export type { RendezvousOptions } from "./rendezvous/rendezvous.ts";
export { Rendezvous } from "./rendezvous/rendezvous.ts";
export type { RendezvousDiscoveryOptions } from "./rendezvous/rendezvous-discovery.ts";
export type { RendezvousErrorCode } from "./rendezvous/rendezvous-error.ts";
export { RendezvousError } from "./rendezvous/rendezvous-error.ts";

// A place of one's own.

export type { RedisStateOptions } from "./rendezvous/redis/redis-state.ts";
export { redisState } from "./rendezvous/redis/redis-state.ts";
export type {
  AuthorizeRendezvous,
  RendezvousAccess,
  RendezvousHost,
  RendezvousHostOptions,
} from "./rendezvous/rendezvous-host.ts";
export { createRendezvous } from "./rendezvous/rendezvous-host.ts";
export type { RendezvousLimits } from "./rendezvous/rendezvous-limits.ts";
export { defaultRendezvousLimits } from "./rendezvous/rendezvous-limits.ts";
export type { RendezvousMetrics } from "./rendezvous/rendezvous-metrics.ts";
export type { RendezvousPage } from "./rendezvous/rendezvous-pages.ts";
export type { RendezvousState, RendezvousStateContext } from "./rendezvous/rendezvous-state.ts";
export type {
  RendezvousListenAddress,
  RendezvousServerOptions,
} from "./rendezvous/server/rendezvous-server.ts";
export { RendezvousServer } from "./rendezvous/server/rendezvous-server.ts";
