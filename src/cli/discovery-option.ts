import type { DiscoverySource } from "../discovery/discovery.ts";
import { dnsDiscovery } from "../discovery/dns-discovery.ts";
import { localNetwork } from "../discovery/local-network.ts";
import { mainlineDht } from "../discovery/mainline-dht.ts";
import { n0Origins } from "../discovery/n0-origins.ts";
import { pkarrResolver } from "../discovery/pkarr-resolver.ts";
import { explain } from "./explain.ts";
import { type OptionSpec, quote } from "./option-table.ts";
import { UsageError } from "./usage-error.ts";

const { pkarrRelay, dnsOrigin } = n0Origins.production;

/** Where a peer can be looked for by its id, by name. A value is what stands behind `=`. */
const kinds: Readonly<Record<string, (value: string | undefined) => DiscoverySource>> = {
  local: (value) => {
    if (value !== undefined) {
      throw new TypeError("it takes no value");
    }
    return localNetwork();
  },
  dns: (origin = dnsOrigin) => dnsDiscovery({ origin }),
  pkarr: (relay = pkarrRelay) => pkarrResolver({ relay }),
  dht: (nodes) => mainlineDht({ publish: false, bootstrap: nodes?.split(",") }),
};

export const discoveryOptionTable: { readonly discovery: DiscoveryOption } = {
  discovery: {
    type: "string",
    multiple: true,
    value: "<where>",
    help: `where to look for the peer: local (this network, by mDNS),
dns=<domain> (default ${dnsOrigin}), pkarr=<url> (default
${pkarrRelay}; both are public servers of iroh's),
dht=<host:port>,… (BitTorrent's, from these nodes on; default public ones)`,
  },
};

interface DiscoveryOption extends OptionSpec {
  readonly type: "string";
  readonly multiple: true;
}

/** Sources of what was given as `--discovery`. Throws {@link UsageError}. */
export function discoveryOf(texts: readonly string[] = []): DiscoverySource[] {
  return texts.map((text) => {
    const [, name = "", value] = /^([^=]*)(?:=(.+))?$/s.exec(text) ?? [];
    const source = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (source === undefined) {
      const known = Object.keys(kinds).join(", ");
      throw new UsageError(`--discovery takes one of ${known}, found ${quote(text)}`);
    }
    try {
      return source(value);
    } catch (error) {
      throw new UsageError(`--discovery ${text}: ${explain(error)}`);
    }
  });
}
