import type { RelayUrl } from "../identity/relay-url.ts";

/** The relays that answered in one round of measuring, each with its latency in milliseconds. */
export interface RelayLatencies {
  /** Monotonic milliseconds. */
  readonly at: number;
  readonly latencies: ReadonlyMap<RelayUrl, number>;
}

/** How far back latencies count. One round may be slow by accident. */
export const latencyHistoryMs = 300_000;
/** The home relay is left for one whose latency is at most this share of its own. */
const gainToMove = 2 / 3;

/**
 * Which relay an endpoint is to be found at: among those that have answered in the last round the one with the lowest
 * latency of the last 5 minutes. A home relay that still answers is kept as long as no other is quicker by a third,
 * because every move has to be told to all who know us. As iroh does it.
 *
 * @param rounds the last one last; those that are too old are ignored
 * @param current the home relay of now. When its connection is alive, put the latency of that into the last round: a
 *   probe that got lost is no reason to leave.
 * @returns `current` when nobody has answered, which says nothing about relays
 */
export function chooseHomeRelay(
  rounds: readonly RelayLatencies[],
  current: RelayUrl | undefined,
): RelayUrl | undefined {
  const last = rounds.at(-1);
  if (last === undefined || last.latencies.size === 0) {
    return current;
  }
  const recent = rounds.filter(({ at }) => last.at - at <= latencyHistoryMs);
  const [first, ...others] = [...last.latencies.keys()].map((url) => ({
    url,
    latencyMs: lowestLatency(recent, url),
  }));
  const best = others.reduce(
    (one, other) => (one === undefined || other.latencyMs < one.latencyMs ? other : one),
    first,
  );
  const currentMs = current === undefined ? undefined : last.latencies.get(current);
  return currentMs !== undefined && best !== undefined && best.latencyMs > currentMs * gainToMove
    ? current
    : best?.url;
}

/** Of all these rounds, milliseconds; Infinity for a relay that has answered in none. */
export function lowestLatency(rounds: readonly RelayLatencies[], url: RelayUrl): number {
  return Math.min(...rounds.map(({ latencies }) => latencies.get(url) ?? Number.POSITIVE_INFINITY));
}
