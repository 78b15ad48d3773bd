import type { DiscoveryContext, DiscoverySource, OwnAddr } from "./discovery.ts";
import { DiscoveryError } from "./discovery-error.ts";
import type { EndpointInfo } from "./endpoint-info.ts";
import { signEndpointRecord } from "./endpoint-record.ts";
import { isNewer, PkarrClock, type PkarrPacket } from "./pkarr-packet.ts";
import { PkarrRelay, parsePkarrRelayUrl } from "./pkarr-relay.ts";
import { Republisher } from "./republisher.ts";

/** Which of the own addresses are published. */
export type PublishedAddrs = "relay" | "all";

export interface PublisherOptions {
  /**
   * "relay": the home relay alone, as iroh does, so that nobody learns from an id where its host is; "all": IP addresses
   * as well, for a peer that uses no relay. Default "relay".
   */
  readonly addrs?: PublishedAddrs | undefined;
  /** How long others may remember the record, in seconds. Default 30. */
  readonly ttl?: number | undefined;
}

export interface PkarrPublisherOptions extends PublisherOptions {
  /** URL to which `/<key>` is added, such as `https://dns.iroh.link/pkarr`. */
  readonly relay: string | URL;
  /** Time until the same is published again. Milliseconds. Default 300_000. */
  readonly republishMs?: number | undefined;
}

/**
 * Publishes the own address, signed, to a pkarr relay such as an iroh-dns-server, from where others read it by
 * `pkarrResolver` or `dnsDiscovery`.
 *
 * The record follows the address at once. A relay that holds a record of the own key from the future (this clock was wrong
 * once) would keep that one: it is then replaced by one dated after it.
 *
 * @throws TypeError for what is no http or https URL
 */
export function pkarrPublisher(options: PkarrPublisherOptions): DiscoverySource {
  const url = parsePkarrRelayUrl(options.relay);
  return (context) => {
    const publishing = new PkarrPublishing(new PkarrRelay(url, context), context, options);
    const republisher = new Republisher({
      platform: context.platform,
      intervalMs: options.republishMs ?? 300_000,
      put: (info, { changed, signal }) => publishing.put(info, changed, signal),
      report: context.report,
    });
    return {
      name: `publisher to ${url.href}`,
      publish: (own) => republisher.publish(publishedInfo(own, options)),
      close: () => republisher.close(),
    };
  };
}

/** What of the own address is to be published. */
export function publishedInfo(
  { addr, userData }: OwnAddr,
  { addrs = "relay" }: PublisherOptions,
): EndpointInfo {
  return {
    addrs: addrs === "all" ? addr.addrs : addr.addrs.filter(({ type }) => type === "relay"),
    ...(userData === undefined ? {} : { userData }),
  };
}

class PkarrPublishing {
  readonly #relay: PkarrRelay;
  readonly #context: DiscoveryContext;
  readonly #options: PublisherOptions;
  readonly #clock = new PkarrClock();

  constructor(relay: PkarrRelay, context: DiscoveryContext, options: PublisherOptions) {
    this.#relay = relay;
    this.#context = context;
    this.#options = options;
  }

  async put(info: EndpointInfo, changed: boolean, signal: AbortSignal): Promise<void> {
    const packet = this.#sign(info);
    await this.#relay.put(packet, signal);
    if (!changed) {
      return;
    }
    const stored = await this.#relay.get(packet.id, signal).catch(() => undefined);
    signal.throwIfAborted();
    if (stored !== undefined && isNewer(stored, packet)) {
      await this.#putAfter(stored.timestampUs, info, signal);
    }
  }

  /** Once for each change: another process with the same key would do the same, and both go on for ever. */
  async #putAfter(timestampUs: bigint, info: EndpointInfo, signal: AbortSignal): Promise<void> {
    this.#clock.observe(timestampUs);
    await this.#relay.put(this.#sign(info), signal);
    this.#context.report(
      new DiscoveryError(
        "future-record",
        "the pkarr relay had a record of this key from the future: another process uses the key, or this clock was or is wrong",
      ),
    );
  }

  #sign(info: EndpointInfo): PkarrPacket {
    const { secretKey, platform } = this.#context;
    return signEndpointRecord(secretKey, info, {
      timestampUs: this.#clock.next(platform.unixMs()),
      ttl: this.#options.ttl ?? 30,
    });
  }
}
