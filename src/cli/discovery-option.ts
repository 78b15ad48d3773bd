import type { DiscoverySource } from "../discovery/discovery.ts";
import { dnsDiscovery } from "../discovery/dns-discovery.ts";
import { localNetwork } from "../discovery/local-network.ts";
import { n0Origins } from "../discovery/n0-origins.ts";
import { pkarrResolver } from "../discovery/pkarr-resolver.ts";
import { type OptionSpec, quote } from "./option-table.ts";
import { UsageError } from "./usage-error.ts";

const { pkarrRelay, dnsOrigin } = n0Origins.production;

/** Where a peer can be looked for by its id, by name. A value is what stands behind `=`. */
const kinds: Readonly<Record<string, (value: string | undefined) => DiscoverySource>> = {
  dns: (origin = dnsOrigin) => dnsDiscovery({ origin }),
  pkarr: (relay = pkarrRelay) => pkarrResolver({ relay: urlOf(relay) }),
  local: (value) => {
    if (value !== undefined) {
      throw new UsageError("--discovery local takes no value");
    }
    return localNetwork();
  },
};

export const discoveryOptionTable: { readonly discovery: DiscoveryOption } = {
  discovery: {
    type: "string",
    multiple: true,
    value: "<where>",
    help: `where to look for the peer: local (this network, by mDNS),
dns=<domain> (default ${dnsOrigin}), pkarr=<url> (default
${pkarrRelay}; both are public servers of iroh's)`,
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
    return source(value);
  });
}

function urlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(
      `--discovery pkarr takes a URL with https:// or http://, found ${quote(text)}`,
    );
  }
  return url;
}
