import type { DiscoverySource } from "./discovery.ts";
import { discoveredAddrOf } from "./endpoint-record.ts";
import { PkarrRelay, parsePkarrRelayUrl } from "./pkarr-relay.ts";

export interface PkarrResolverOptions {
  /** URL to which `/<key>` is added, such as `https://dns.iroh.link/pkarr`. */
  readonly relay: string | URL;
}

/**
 * Reads what peers publish at a pkarr relay over HTTP. What it finds is signed by the peer; a relay can keep back what is
 * new, not make anything up.
 *
 * @throws TypeError for what is no http or https URL
 */
export function pkarrResolver({ relay: url }: PkarrResolverOptions): DiscoverySource {
  const parsed = parsePkarrRelayUrl(url);
  const name = `pkarr ${parsed.href}`;
  return (context) => {
    const relay = new PkarrRelay(parsed, context);
    return {
      name,
      async *resolve(id, { signal }) {
        const packet = await relay.get(id, signal);
        if (packet !== undefined) {
          yield discoveredAddrOf(packet, name, context.platform.unixMs());
        }
      },
      close: async () => {},
    };
  };
}
