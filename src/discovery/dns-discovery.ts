import { onAbort } from "../base/on-abort.ts";
import { parseSocketAddress, type SocketAddress } from "../base/socket-address.ts";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { DiscoverySource } from "./discovery.ts";
import { asDiscoveryError, DiscoveryError } from "./discovery-error.ts";
import { txtText } from "./dns-message.ts";
import { endpointRecordName, parseEndpointInfo } from "./endpoint-info.ts";
import { staggered } from "./staggered.ts";

/** When a query is sent again, and for how long each is waited for: as iroh does. Milliseconds. */
const queryDelaysMs = [0, 200, 300, 600, 1_000, 2_000, 3_000];
const queryTimeoutMs = 3_000;
/** What iroh publishes with; the system's resolver does not say. Milliseconds. */
const ttlMs = 30_000;

export interface DnsDiscoveryOptions {
  /** The zone, such as `dns.iroh.link.`: asked for are the TXT records of `_iroh.<key>.<origin>`. */
  readonly origin: string;
  /** DNS servers as `ip:port`. Default: those of the system. */
  readonly servers?: readonly (string | SocketAddress)[] | undefined;
}

/**
 * Finds what peers publish in DNS, where an iroh-dns-server serves the records of its pkarr relay. Answers come through
 * the caches of DNS; they are not signed, so whoever is on the way can name other addresses, where nobody can prove to be
 * the peer.
 *
 * @throws TypeError, RangeError for a server that is no `ip:port`
 */
export function dnsDiscovery({ origin, servers }: DnsDiscoveryOptions): DiscoverySource {
  const name = `DNS ${origin}`;
  const addresses = servers?.map((server) =>
    typeof server === "string" ? parseSocketAddress(server) : server,
  );
  return ({ platform, network }) => ({
    name,
    async *resolve(id, { signal }) {
      const question = endpointRecordName(id, origin);
      const query = async (ended: AbortSignal): Promise<readonly Uint8Array[]> => {
        const stop = new AbortController();
        const stopListening = onAbort(ended, () => stop.abort(ended.reason));
        const timer = platform.setTimer(queryTimeoutMs, () => {
          stop.abort(new DiscoveryError("timeout", `no answer within ${queryTimeoutMs} ms`));
        });
        try {
          return await network.resolveTxt(question, {
            ...(addresses === undefined ? {} : { servers: addresses }),
            signal: stop.signal,
          });
        } finally {
          platform.clearTimer(timer);
          stopListening();
        }
      };
      const records = await staggered(query, { platform, delaysMs: queryDelaysMs, signal }).catch(
        (error: unknown) => {
          signal.throwIfAborted();
          const { message } = asDiscoveryError(error);
          throw new DiscoveryError("unavailable", `cannot look up ${question}: ${message}`, {
            cause: error,
          });
        },
      );
      const strings = records.flatMap((record) => txtText([record]));
      const { addrs, userData } = parseEndpointInfo(strings);
      if (addrs.length > 0 || userData !== undefined) {
        const addr = new EndpointAddr(id, addrs);
        yield { addr, ...(userData === undefined ? {} : { userData }), ttlMs, source: name };
      }
    },
    close: async () => {},
  });
}
