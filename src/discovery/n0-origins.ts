/** Where a public service for discovery is reached. */
export interface DiscoveryOrigin {
  /** For `pkarrPublisher` and `pkarrResolver`. */
  readonly pkarrRelay: string;
  /** For `dnsDiscovery`. */
  readonly dnsOrigin: string;
}

/**
 * The public services of number 0, which iroh uses by default: whoever knows an id can read what is published there. Not
 * contacted unless a source is made with them.
 *
 * ```ts
 * const { pkarrRelay, dnsOrigin } = n0Origins.production;
 * discovery: [pkarrPublisher({ relay: pkarrRelay }), dnsDiscovery({ origin: dnsOrigin })]
 * ```
 */
export const n0Origins: Readonly<Record<"production" | "staging", DiscoveryOrigin>> = {
  production: { pkarrRelay: "https://dns.iroh.link/pkarr", dnsOrigin: "dns.iroh.link." },
  staging: {
    pkarrRelay: "https://staging-dns.iroh.link/pkarr",
    dnsOrigin: "staging-dns.iroh.link.",
  },
};
