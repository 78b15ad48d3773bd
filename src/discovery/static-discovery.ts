import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import { parseTarget, type Target } from "../identity/target.ts";
import type { DiscoveredAddr, DiscoverySource } from "./discovery.ts";

/** A list of addresses that the program keeps: see {@link staticDiscovery}. May serve any number of endpoints. */
export interface StaticDiscovery extends DiscoverySource {
  /** Adds to what is known of the peer. Throws IdentityError for what is no address. */
  add(peer: Target): void;
  /** Forgets the peer; tells whether it was known. Throws IdentityError for what is no id. */
  remove(peer: Target): boolean;
}

/**
 * Addresses that the program knows by itself, from a file or a flag, as tickets or addresses. They can be changed while
 * endpoints use them.
 *
 * ```ts
 * const known = staticDiscovery([ticket]);
 * const endpoint = await Endpoint.bind({ discovery: [known] });
 * known.add(anotherTicket);
 * ```
 *
 * @throws IdentityError for what is no ticket, id or address
 */
export function staticDiscovery(peers: Iterable<Target> = []): StaticDiscovery {
  const known = new Map<string, EndpointAddr>();
  const add = (peer: Target): void => {
    const addr = parseTarget(peer);
    const key = addr.id.toString();
    known.set(key, known.get(key)?.withAddrs(addr.addrs) ?? addr);
  };
  for (const peer of peers) {
    add(peer);
  }
  const source: DiscoverySource = () => ({
    name,
    async *resolve(id: EndpointId): AsyncGenerator<DiscoveredAddr> {
      const addr = known.get(id.toString());
      if (addr !== undefined && !addr.isEmpty) {
        yield { addr, ttlMs: 0, source: name };
      }
    },
    close: async () => {},
  });
  return Object.assign(source, {
    add,
    remove: (peer: Target) => known.delete(parseTarget(peer).id.toString()),
  });
}

const name = "static";
