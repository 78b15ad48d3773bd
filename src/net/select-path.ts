/** A path as the choice sees it. */
export interface PathCandidate {
  /** Names the address at its other end. */
  readonly key: string;
  readonly kind: "direct" | "relay";
  readonly family: 4 | 6;
  readonly rttMs: number;
  /** It loses so many packets that a slower one would be better. */
  readonly lossy: boolean;
}

/** IPv6 is taken for this much faster than it is: it rarely has NATs that forget. As iroh has it. Milliseconds. */
const ipv6CreditMs = 3;
/** What another path of the same tier has to gain. As iroh has it. Milliseconds. */
const hysteresisMs = 5;

/**
 * Which address data is to be sent to: direct before relay, and anything that loses much after what does not; then the
 * lowest latency, where a change within a tier has to be worth it. Undefined when there is no path at all. A function of
 * its arguments alone.
 *
 * iroh does the same without looking at loss (iroh, biased_rtt_path_selector.rs).
 *
 * @param current the key chosen before, if any
 * @param paths the paths of all connections to one peer; several may have one key
 */
export function selectPath(
  current: string | undefined,
  paths: readonly PathCandidate[],
): string | undefined {
  let best: PathCandidate | undefined;
  let own: PathCandidate | undefined;
  for (const path of paths) {
    if (best === undefined || compare(path, best) < 0) {
      best = path;
    }
    if (path.key === current && (own === undefined || compare(path, own) < 0)) {
      own = path;
    }
  }
  if (best === undefined || own === undefined) {
    return best?.key;
  }
  const isWorthIt = tier(best) < tier(own) || cost(best) + hysteresisMs <= cost(own);
  return isWorthIt ? best.key : own.key;
}

function compare(a: PathCandidate, b: PathCandidate): number {
  return tier(a) - tier(b) || cost(a) - cost(b);
}

function tier({ kind, lossy }: PathCandidate): number {
  return (lossy ? 2 : 0) + (kind === "relay" ? 1 : 0);
}

function cost({ rttMs, kind, family }: PathCandidate): number {
  return rttMs - (kind === "direct" && family === 6 ? ipv6CreditMs : 0);
}
