import type { Platform } from "../base/platform.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { SecretKey } from "../identity/secret-key.ts";
import type { DiscoveryNetwork } from "./discovery-network.ts";

/** What a source knows of a peer. */
export interface DiscoveredAddr {
  readonly addr: EndpointAddr;
  /** What the peer's program publishes beside its addresses: up to 245 bytes of UTF-8. */
  readonly userData?: string;
  /** For how long that holds; afterwards the source is to be asked again. Milliseconds; 0: ask each time. */
  readonly ttlMs: number;
  /** Name of the source. */
  readonly source: string;
  /** When the peer itself has signed this, in microseconds since 1970; undefined where nobody vouches for it. */
  readonly signedUs?: bigint;
}

/** What an endpoint tells the world of itself. */
export interface OwnAddr {
  readonly addr: EndpointAddr;
  /** Up to 245 bytes of UTF-8, best without `=`: iroh cuts it there. */
  readonly userData?: string;
}

/** What the sources of an endpoint are given by it. */
export interface DiscoveryContext {
  /** Whose records are published. */
  readonly secretKey: SecretKey;
  readonly platform: Platform;
  readonly network: DiscoveryNetwork;
  /** Takes what goes wrong where nobody waits for it, such as a record that could not be published. */
  readonly report: (error: unknown) => void;
}

/** A way from an id to addresses, or a place to publish the own ones, or both. */
export interface Discovery {
  /** For people: `pkarr https://dns.iroh.link/pkarr`. */
  readonly name: string;
  /**
   * What is found, as it is found; ends when there will be no more. Throws DiscoveryError, and the signal's reason.
   * Undefined where the source only publishes.
   */
  resolve?(
    id: EndpointId,
    options: { readonly signal: AbortSignal },
  ): AsyncIterable<DiscoveredAddr>;
  /** Called with the own address whenever that changes; publishes until closed, again at intervals. Never throws. */
  publish?(own: OwnAddr): void;
  /** Idempotent. Ends what is under way. */
  close(): Promise<void>;
}

/**
 * How users name a source in `Endpoint.bind({ discovery: [...] })`. Nothing is contacted before the first resolve or
 * publish.
 */
export type DiscoverySource = (context: DiscoveryContext) => Discovery;
