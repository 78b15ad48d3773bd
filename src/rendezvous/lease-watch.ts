import { Code, ConnectError } from "@connectrpc/connect";
import type { LeaseKey, RendezvousState } from "./rendezvous-state.ts";

/**
 * Calls `ended` when the registration with this lease ends, which was there in this version of its set: "stale" when the set
 * is no longer kept up to date. Returns the function that ends that.
 */
export async function watchLease(
  state: RendezvousState,
  { namespace, id, lease }: LeaseKey,
  version: number,
  ended: (how: "unknown" | "replaced" | "stale") => void,
): Promise<() => void> {
  const set = await state.openSet(namespace);
  if (set === undefined) {
    throw new ConnectError("there are too many namespaces", Code.ResourceExhausted);
  }
  const release = set.retain();
  const look = (): void => {
    if (!set.isCurrent) {
      ended("stale");
    } else if (set.version >= version && set.get(id)?.lease !== lease) {
      ended(set.get(id) === undefined ? "unknown" : "replaced");
    }
  };
  const stop = set.follow(id, look);
  look();
  return () => {
    stop();
    release();
  };
}
