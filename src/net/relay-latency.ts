import type { Platform } from "../base/platform.ts";
import type { RelayUrl } from "../identity/relay-url.ts";
import type { Network } from "./network.ts";
import { untilAborted } from "./until-aborted.ts";

export interface RelayLatencyOptions {
  readonly platform: Platform;
  /** {@link Network.request}. */
  readonly request: Network["request"];
  /** Ends the measuring; what is known by then counts. */
  readonly signal: AbortSignal;
  /** Authorities in place of the system's, certificates in DER. */
  readonly authorities?: readonly Uint8Array[] | undefined;
}

/** Measured round trips, after one for setting up the connection. */
const tries = 3;
/** The answer is empty; some proxies say something nevertheless. */
const maxAnswerBytes = 1_024;

/**
 * How long a relay takes to answer, in milliseconds: the median of three `GET /ping`, one after the other on a connection
 * that is there. Where the signal ends it before, of those that were answered, or of the first with the set-up.
 *
 * Rejects when there was no answer, or one that is no relay's.
 */
export async function measureRelayLatency(
  relay: RelayUrl,
  { platform, request, signal, authorities }: RelayLatencyOptions,
): Promise<number> {
  const url = relayHttpUrl(relay, "/ping");
  const ping = async (): Promise<number> => {
    const start = platform.now();
    const asked = request(url, {
      method: "GET",
      signal,
      maxBytes: maxAnswerBytes,
      ...(authorities === undefined ? {} : { authorities }),
    });
    const { status } = await untilAborted(asked, signal);
    if (status !== 200) {
      throw new Error(`GET ${url.href} was answered with ${status}, expected 200`);
    }
    return platform.now() - start;
  };
  const withSetUp = await ping();
  const measured: number[] = [];
  try {
    while (measured.length < tries) {
      measured.push(await ping());
    }
  } catch {
    // It has answered before, which is what counts.
  }
  return median(measured) ?? withSetUp;
}

/** A page of a relay's HTTP server: relays speak WebSocket and HTTP at one port, and some are known by a ws: URL. */
export function relayHttpUrl(relay: RelayUrl, path: string): URL {
  const { protocol, host } = new URL(relay);
  const isPlain = protocol === "http:" || protocol === "ws:";
  return new URL(path, `${isPlain ? "http" : "https"}://${host}`);
}

function median(values: readonly number[]): number | undefined {
  return [...values].sort((one, other) => one - other)[values.length >> 1];
}
