import { nodePlatform } from "../../../src/base/node-platform.ts";
import { pause } from "../../../src/base/pause.ts";
import type { DiscoveredAddr, DiscoveryContext } from "../../../src/discovery/discovery.ts";
import type { PeerDiscovery } from "../../../src/discovery/peer-discovery.ts";
import type { EndpointId } from "../../../src/identity/endpoint-id.ts";
import { SecretKey } from "../../../src/identity/secret-key.ts";
import { formatTransportAddr } from "../../../src/identity/transport-addr.ts";
import { nodeNetwork } from "../../../src/net/node-network.ts";

export interface LiveContext extends DiscoveryContext {
  readonly reported: unknown[];
}

/** What an endpoint gives its sources, on the real network. */
export function liveContext(secretKey: SecretKey = SecretKey.generate()): LiveContext {
  const reported: unknown[] = [];
  return {
    secretKey,
    platform: nodePlatform,
    network: nodeNetwork,
    reported,
    report: (error) => reported.push(error),
  };
}

/** Looks for a peer until `enough` is found; at most 30 s. */
export async function find(
  discovery: PeerDiscovery,
  id: EndpointId,
  enough: (found: DiscoveredAddr) => boolean = () => true,
): Promise<DiscoveredAddr> {
  const signal = AbortSignal.timeout(30_000);
  for (;;) {
    for await (const found of discovery.resolve(id, { signal, fresh: true })) {
      if (enough(found)) {
        return found;
      }
    }
    // It may not have been published yet.
    await pause(nodePlatform, 50, signal);
  }
}

export function addrTexts({ addr }: DiscoveredAddr): string[] {
  return addr.addrs.map(formatTransportAddr);
}
