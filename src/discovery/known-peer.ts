import type { EndpointId } from "../identity/endpoint-id.ts";
import type { DiscoveredAddr } from "./discovery.ts";
import { DiscoveryError } from "./discovery-error.ts";

/** What came of the last time that a source was asked for a peer. */
export type SourceOutcome = "found" | "nothing" | "pending" | { readonly error: DiscoveryError };

/**
 * By how much a signed record may be older than what another source has of the same peer. Peers sign afresh for each place
 * and several times an hour, so honest places differ by less; what is older was kept back, or its place is not kept up.
 */
const maxLagUs = 2n * 3_600_000_000n;

/** What is remembered of a peer, by source. Pure: the time is an argument. */
export class KnownPeer {
  readonly #id: EndpointId;
  readonly #sources: SourceMemory[];

  constructor(id: EndpointId, sources: number) {
    this.#id = id;
    this.#sources = Array.from({ length: sources }, () => ({
      outcome: "pending",
      results: [],
      newestUs: undefined,
    }));
  }

  /** What the source has said and what still holds. */
  remembered(source: number, now: number): DiscoveredAddr[] {
    return this.#of(source).results.flatMap(({ result, until }) =>
      until > now ? [{ ...result, ttlMs: until - now }] : [],
    );
  }

  outcome(source: number): SourceOutcome {
    return this.#of(source).outcome;
  }

  /** The source is being asked. What it said before no longer counts, but for the age of its records. */
  begin(source: number): void {
    const memory = this.#of(source);
    memory.outcome = "pending";
    memory.results = [];
  }

  /**
   * The source has said this. Throws DiscoveryError `invalid-record` where it is about another peer, and `stale-record`
   * where the peer has signed something newer.
   */
  check(source: number, { addr, signedUs }: DiscoveredAddr): void {
    if (!addr.id.equals(this.#id)) {
      throw new DiscoveryError(
        "invalid-record",
        `asked for ${this.#id.short}, found a record of ${addr.id.short}`,
      );
    }
    if (signedUs === undefined) {
      return;
    }
    for (const [index, { newestUs = signedUs }] of this.#sources.entries()) {
      if (newestUs > signedUs + (index === source ? 0n : maxLagUs)) {
        throw new DiscoveryError(
          "stale-record",
          `record of ${formatUs(signedUs)}, but ${this.#id.short} has signed one on ${formatUs(newestUs)}`,
        );
      }
    }
    this.#of(source).newestUs = signedUs;
  }

  /** Keeps what has passed {@link check} until it expires. */
  remember(source: number, result: DiscoveredAddr, now: number): void {
    const memory = this.#of(source);
    memory.outcome = "found";
    if (result.ttlMs > 0) {
      memory.results.push({ result, until: now + result.ttlMs });
    }
  }

  /** Whatever is wrong with one answer counts only where nothing was found. */
  failed(source: number, error: DiscoveryError): void {
    const memory = this.#of(source);
    if (memory.outcome !== "found") {
      memory.outcome = { error };
    }
  }

  /** The source has no more to say. */
  ended(source: number): void {
    const memory = this.#of(source);
    if (memory.outcome === "pending") {
      memory.outcome = "nothing";
    }
  }

  #of(source: number): SourceMemory {
    const memory = this.#sources[source];
    if (memory === undefined) {
      throw new RangeError(`no source ${source}: there are ${this.#sources.length}`);
    }
    return memory;
  }
}

interface SourceMemory {
  outcome: SourceOutcome;
  results: { readonly result: DiscoveredAddr; readonly until: number }[];
  /** Of all signed records that the source gave. */
  newestUs: bigint | undefined;
}

function formatUs(us: bigint): string {
  const date = new Date(Number(us / 1_000n));
  return Number.isNaN(date.getTime()) ? `${us} us` : date.toISOString();
}
