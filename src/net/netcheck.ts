import { onAbort } from "../base/on-abort.ts";
import type { Platform } from "../base/platform.ts";
import type { SocketAddress } from "../base/socket-address.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { AddressObservers } from "./address-observers.ts";
import { hasCaptivePortal } from "./captive-portal.ts";
import {
  chooseHomeRelay,
  latencyHistoryMs,
  lowestLatency,
  type RelayLatencies,
} from "./choose-home-relay.ts";
import { type NetReport, type RelayReport, summarizeNetReport } from "./net-report.ts";
import type { Network } from "./network.ts";
import type { Observation } from "./observation.ts";
import { measureRelayLatency } from "./relay-latency.ts";
import { untilAborted } from "./until-aborted.ts";

export interface NetcheckOptions {
  readonly platform: Platform;
  readonly network: Pick<Network, "interfaces" | "request">;
  /** Where the sockets are bound. */
  readonly bound: () => readonly SocketAddress[];
  /** Who is asked where they see us. Default nobody. */
  readonly observers?: AddressObservers;
  /** The relays to choose from; the first {@link maxRelays} are asked. Default none. */
  readonly relays?: () => readonly RelayUrl[];
  /** Authorities of the relays in place of the system's, certificates in DER. */
  readonly authorities?: readonly Uint8Array[];
}

export interface CheckOptions {
  /** The home relay of now. */
  readonly homeRelay?: RelayUrl | undefined;
  /** The latency of the home relay's connection, milliseconds, when it is alive. */
  readonly homeLatencyMs?: number | undefined;
  /** Told of our addresses as they are observed, before the check is over: for {@link OwnAddresses}. */
  readonly observed?: ((observation: Observation) => void) | undefined;
  /**
   * Asks all relays, looks for a captive portal as well, and resolves names again. Otherwise, as long as the home relay's
   * connection is alive, only that and the two nearest others are asked. Default true.
   */
  readonly full?: boolean;
  /** Ends the check with the signal's reason; other limits end it with what is known by then. */
  readonly signal?: AbortSignal | undefined;
  /** For all of it. Milliseconds, default 3000. */
  readonly timeoutMs?: number;
}

/** Relays whose latency is measured. */
export const maxRelays = 32;
/** Relays besides the home relay whose latency is measured in a quick check. */
const quickAlternatives = 2;
const defaultTimeoutMs = 3_000;

/**
 * Looks at the network from here: addresses, NATs, relays. Everything is asked at once, within three seconds, and what fails
 * is in the report with its reason.
 *
 * One of these for an endpoint: it remembers the relays' latencies for five minutes, for a home relay that stays.
 */
export class Netcheck {
  readonly #options: NetcheckOptions;
  #rounds: readonly RelayLatencies[] = [];

  constructor(options: NetcheckOptions) {
    this.#options = options;
  }

  /** Rejects with the reason of `signal` alone. */
  async run(options: CheckOptions = {}): Promise<NetReport> {
    const { signal, timeoutMs = defaultTimeoutMs, full = true, observed = () => {} } = options;
    const { platform, network, bound, observers } = this.#options;
    signal?.throwIfAborted();
    const limit = new AbortController();
    const timer = platform.setTimer(timeoutMs, () =>
      limit.abort(new Error(`no answer within ${timeoutMs} ms`)),
    );
    const stopListening = onAbort(signal, () => limit.abort(signal?.reason));
    try {
      const relays = this.#relaysToAsk(options);
      const [seen, latencies, captivePortal] = await Promise.all([
        observers?.ask({ full, signal: limit.signal, observed }) ?? [],
        Promise.all(relays.map((relay) => this.#measure(relay, limit.signal))),
        full ? this.#findPortal(relays, limit.signal) : undefined,
      ]);
      signal?.throwIfAborted();
      return summarizeNetReport({
        bound: bound(),
        interfaces: network.interfaces(),
        observers: seen,
        relays: latencies,
        homeRelay: this.#chooseHome(latencies, options),
        captivePortal,
      });
    } finally {
      stopListening();
      platform.clearTimer(timer);
      limit.abort(new Error("the check is over"));
    }
  }

  /** In the order in which they were given. */
  #relaysToAsk({ full = true, homeRelay, homeLatencyMs }: CheckOptions): readonly RelayUrl[] {
    const relays = this.#options.relays?.().slice(0, maxRelays) ?? [];
    if (full || homeRelay === undefined || homeLatencyMs === undefined) {
      return relays;
    }
    const others = relays
      .filter((url) => url !== homeRelay)
      .map((url) => ({ url, latencyMs: lowestLatency(this.#rounds, url) }))
      // Infinity minus Infinity is no number.
      .sort((one, other) => one.latencyMs - other.latencyMs || 0)
      .slice(0, quickAlternatives);
    const asked = new Set([homeRelay, ...others.map(({ url }) => url)]);
    return relays.filter((url) => asked.has(url));
  }

  async #measure(url: RelayUrl, signal: AbortSignal): Promise<RelayReport> {
    const { platform, network, authorities } = this.#options;
    const { request } = network;
    try {
      const latencyMs = await measureRelayLatency(url, { platform, request, signal, authorities });
      return { type: "answered", url, latencyMs };
    } catch (error) {
      return { type: "failed", url, error: error instanceof Error ? error.message : String(error) };
    }
  }

  async #findPortal(
    [relay]: readonly RelayUrl[],
    signal: AbortSignal,
  ): Promise<boolean | undefined> {
    const { request } = this.#options.network;
    try {
      return relay && (await untilAborted(hasCaptivePortal(relay, { request, signal }), signal));
    } catch {
      return undefined;
    }
  }

  #chooseHome(relays: readonly RelayReport[], options: CheckOptions): RelayUrl | undefined {
    const { homeRelay, homeLatencyMs } = options;
    const at = this.#options.platform.now();
    const latencies = new Map<RelayUrl, number>();
    for (const relay of relays) {
      if (relay.type === "answered") {
        latencies.set(relay.url, relay.latencyMs);
      }
    }
    const isKnown = homeRelay !== undefined && relays.some(({ url }) => url === homeRelay);
    if (isKnown && homeLatencyMs !== undefined && !latencies.has(homeRelay)) {
      latencies.set(homeRelay, homeLatencyMs);
    }
    this.#rounds = [
      ...this.#rounds.filter((round) => at - round.at <= latencyHistoryMs),
      { at, latencies },
    ];
    return chooseHomeRelay(this.#rounds, homeRelay);
  }
}
