import type { SocketAddress } from "../base/socket-address.ts";
import { dnsDiscovery } from "../discovery/dns-discovery.ts";
import { type DiscoveryOrigin, n0Origins } from "../discovery/n0-origins.ts";
import { pkarrPublisher } from "../discovery/pkarr-publisher.ts";
import { pkarrResolver } from "../discovery/pkarr-resolver.ts";
import type { EndpointOptions, RelayOptions } from "./endpoint.ts";

/** The public relays of number 0, which iroh 1.x uses by default. Not contacted unless an endpoint is bound with them. */
export const n0Relays: Readonly<Record<"production" | "staging", readonly string[]>> = {
  production: [
    "https://use1-1.relay.n0.iroh.link./",
    "https://usw1-1.relay.n0.iroh.link./",
    "https://euc1-1.relay.n0.iroh.link./",
    "https://aps1-1.relay.n0.iroh.link./",
  ],
  staging: [
    "https://use1-1.staging-relay.n0.iroh.link./",
    "https://euc1-1.staging-relay.n0.iroh.link./",
  ],
};

/** What of the public network is to be another. */
export interface N0Options extends Partial<DiscoveryOrigin> {
  /** Which of number 0's two networks fills in what is left out. Default "production". */
  readonly network?: "production" | "staging";
  /** Default: those of the network. With none, direct addresses are published instead. */
  readonly relays?: readonly (string | RelayOptions)[];
  /** DNS servers as `ip:port`. Default: those of the system. */
  readonly dnsServers?: readonly (string | SocketAddress)[];
}

/** Options for `Endpoint.bind` that go together, as iroh's presets do. */
export const presets: { n0(options?: N0Options): Pick<EndpointOptions, "discovery" | "relays"> } = {
  /**
   * What iroh programs use by default: the public relays of number 0, and its directory, by which peers are dialed by
   * their id alone. The relays see who sends to whom and how much, and whoever knows an id can read what is published.
   *
   * ```ts
   * await using endpoint = await Endpoint.bind({ ...presets.n0(), secretKey });
   * ```
   *
   * Throws TypeError or RangeError for URLs and addresses that are none.
   */
  n0({ network = "production", ...changes } = {}) {
    const { pkarrRelay, dnsOrigin, relays } = {
      ...n0Origins[network],
      relays: n0Relays[network],
      ...changes,
    };
    return {
      relays,
      discovery: [
        pkarrPublisher({ relay: pkarrRelay, addrs: relays.length === 0 ? "all" : "relay" }),
        pkarrResolver({ relay: pkarrRelay }),
        dnsDiscovery({ origin: dnsOrigin, servers: changes.dnsServers }),
      ],
    };
  },
};
