import { pause } from "../base/pause.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type {
  DiscoveredAddr,
  Discovery,
  DiscoveryContext,
  DiscoverySource,
  OwnAddr,
} from "./discovery.ts";
import { asDiscoveryError } from "./discovery-error.ts";
import { KnownPeer, type SourceOutcome } from "./known-peer.ts";
import { type AskedSource, PeerLookup } from "./peer-lookup.ts";

/** Least and longest time between two lookups of `refresh` that found nothing. Milliseconds, doubling. */
const retryMs = { first: 1_000, last: 30_000 };
/** Least time between two lookups of `refresh`, and the time for answers that hold for no time. Milliseconds. */
const refreshMs = { least: 1_000, default: 30_000 };
/** How long closing waits for a source. Milliseconds. */
const closeTimeoutMs = 3_000;

export interface PeerDiscoveryOptions {
  /** How long a source may take for all that it has to say of a peer. Milliseconds. Default 10_000. */
  readonly lookupTimeoutMs?: number | undefined;
  /** Peers of which is remembered what was found and how old it was. The one not asked for longest goes first. Default 1024. */
  readonly maxPeers?: number | undefined;
}

export interface ResolveOptions {
  /** Ends it, with its reason as the error. */
  readonly signal: AbortSignal;
  /** Asks also those sources whose last answer still holds: it has just led nowhere. Default false. */
  readonly fresh?: boolean | undefined;
  /**
   * Asks again and again: when an answer has expired, and after some time where nothing was found. Then only `signal` ends
   * it. Default false.
   */
  readonly refresh?: boolean | undefined;
}

/** What a source said when it was asked last. */
export interface SourceReport {
  readonly source: string;
  readonly outcome: SourceOutcome;
}

/**
 * All discovery of an endpoint: asks every source at once and gives what each of them finds as it comes. None holds up
 * another, whether it hangs, floods or throws. Remembers answers until they expire; dials of the same peer share one lookup.
 *
 * What it gives is limited for each peer ({@link AdmittedAddrs}) and held against what the peer has signed before
 * ({@link KnownPeer}). It may still be wrong: who answers at an address proves who it is in the handshake.
 *
 * Owns the sources: `close` closes them.
 */
export class PeerDiscovery implements AsyncDisposable {
  readonly #context: DiscoveryContext;
  readonly #timeoutMs: number;
  readonly #maxPeers: number;
  readonly #all: readonly Discovery[];
  readonly #asked: readonly AskedSource[];
  /** By id, the one asked for last at the end. */
  readonly #peers = new Map<string, KnownPeer>();
  /** Under way, by id. */
  readonly #lookups = new Map<string, PeerLookup>();
  readonly #closed = new AbortController();
  #closing: Promise<void> | undefined;

  /** Throws what a source throws. */
  constructor(
    sources: readonly DiscoverySource[],
    context: DiscoveryContext,
    options: PeerDiscoveryOptions = {},
  ) {
    this.#context = context;
    this.#timeoutMs = options.lookupTimeoutMs ?? 10_000;
    this.#maxPeers = options.maxPeers ?? 1_024;
    const all: Discovery[] = [];
    this.#all = all;
    try {
      for (const source of sources) {
        all.push(source(context));
      }
    } catch (error) {
      void this.close();
      throw error;
    }
    this.#asked = all
      .filter(({ resolve }) => resolve !== undefined)
      .map((discovery, index) => ({ index, discovery }));
  }

  /** Whether any source can be asked. */
  get canResolve(): boolean {
    return this.#asked.length > 0;
  }

  /** Whether any source publishes. */
  get canPublish(): boolean {
    return this.#all.some(({ publish }) => publish !== undefined);
  }

  /**
   * Addresses of the peer as they are found by any source; ends when all sources have ended, or this is closed. Each
   * address comes once, from the source that was first; with `refresh`, once in each round. Throws the signal's reason and
   * nothing else: {@link outcomes} has the errors of the sources.
   */
  async *resolve(
    id: EndpointId,
    { signal, fresh = false, refresh = false }: ResolveOptions,
  ): AsyncGenerator<DiscoveredAddr, void, undefined> {
    signal.throwIfAborted();
    for (let retries = 0; !this.#closed.signal.aborted; ) {
      let expiresMs: number | undefined;
      for await (const result of this.#lookup(id, fresh && retries === 0).results(signal)) {
        expiresMs = Math.min(expiresMs ?? Infinity, result.ttlMs || refreshMs.default);
        yield result;
      }
      if (!refresh) {
        return;
      }
      retries = expiresMs === undefined ? retries + 1 : 1;
      const delayMs =
        expiresMs === undefined
          ? Math.min(retryMs.first * 2 ** (retries - 1), retryMs.last)
          : Math.max(expiresMs, refreshMs.least);
      await pause(this.#context.platform, delayMs, signal, this.#closed.signal).catch(() => {
        signal.throwIfAborted();
      });
    }
  }

  /** What came of the last lookup of the peer, source by source; empty for a peer that was not asked for. */
  outcomes(id: EndpointId): readonly SourceReport[] {
    const known = this.#peers.get(id.toString());
    return known === undefined
      ? []
      : this.#asked.map(({ index, discovery }) => ({
          source: discovery.name,
          outcome: known.outcome(index),
        }));
  }

  /** Has every source publish the own address from now on. To be called whenever it changes. Never throws. */
  publish(own: OwnAddr): void {
    if (this.#closing !== undefined) {
      return;
    }
    for (const discovery of this.#all) {
      try {
        discovery.publish?.(own);
      } catch (error) {
        this.#context.report(asDiscoveryError(error));
      }
    }
  }

  /** Ends all lookups and closes the sources. Never rejects, and does not wait for a source that hangs. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#closed.abort();
    for (const lookup of [...this.#lookups.values()]) {
      lookup.stop();
    }
    const { platform, report } = this.#context;
    const waiting = new AbortController();
    const sources = this.#all.map(async (discovery) => {
      try {
        await discovery.close();
      } catch (error) {
        report(asDiscoveryError(error));
      }
    });
    const late = pause(platform, closeTimeoutMs, waiting.signal).catch(() => {});
    await Promise.race([Promise.all(sources), late]);
    waiting.abort();
  }

  #lookup(id: EndpointId, fresh: boolean): PeerLookup {
    const key = id.toString();
    const running = this.#lookups.get(key);
    if (running !== undefined) {
      return running;
    }
    const lookup: PeerLookup = new PeerLookup(id, this.#asked, this.#known(id), {
      platform: this.#context.platform,
      timeoutMs: this.#timeoutMs,
      fresh,
      ended: () => {
        if (this.#lookups.get(key) === lookup) {
          this.#lookups.delete(key);
        }
      },
    });
    this.#lookups.set(key, lookup);
    lookup.start();
    return lookup;
  }

  #known(id: EndpointId): KnownPeer {
    const key = id.toString();
    const known = this.#peers.get(key) ?? new KnownPeer(id, this.#asked.length);
    this.#peers.delete(key);
    this.#peers.set(key, known);
    if (this.#peers.size > this.#maxPeers) {
      const [oldest = ""] = this.#peers.keys();
      this.#peers.delete(oldest);
    }
    return known;
  }
}
