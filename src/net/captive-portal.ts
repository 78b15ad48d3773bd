import type { RelayUrl } from "../identity/relay-url.ts";
import type { Network } from "./network.ts";

export interface CaptivePortalOptions {
  /** {@link Network.request}. */
  readonly request: Network["request"];
  readonly signal: AbortSignal;
}

/**
 * Whether somebody answers in place of a relay, as the networks of hotels do until one has agreed to something. Relays have
 * a page without content at their plain HTTP port, and prove that they have seen the question.
 *
 * Rejects when there is no answer, which says nothing: a relay may have no plain HTTP.
 */
export async function hasCaptivePortal(
  relay: RelayUrl,
  { request, signal }: CaptivePortalOptions,
): Promise<boolean> {
  const { protocol, host, hostname } = new URL(relay);
  const isPlain = protocol === "http:" || protocol === "ws:";
  const url = new URL(`http://${isPlain ? host : hostname}/generate_204`);
  // A relay answers to at most 63 of these characters.
  const challenge = `ts_${hostname.replaceAll(/[^A-Za-z0-9._-]/g, "-")}`.slice(0, 63);
  const { status, headers } = await request(url, {
    method: "GET",
    headers: { "x-iroh-challenge": challenge },
    signal,
    maxBytes: maxPortalBytes,
  });
  return status !== 204 || headers["x-iroh-response"] !== `response ${challenge}`;
}

/** A portal's page is read to its end, and may be large. */
const maxPortalBytes = 1 << 20;
