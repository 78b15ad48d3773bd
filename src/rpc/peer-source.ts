import { aborted } from "../base/on-abort.ts";
import type { EndpointAddr } from "../identity/endpoint-addr.ts";
import type { EndpointId } from "../identity/endpoint-id.ts";
import type { Target } from "../identity/target.ts";
import { parsePeerAddr } from "./peer-transport.ts";

/** Who can tell which peers serve something: a `Rendezvous` of `connect-quic/rendezvous`, or one of your own. */
export interface PeerSource {
  /** What messages call it. Default "its source". */
  readonly name?: string;
  /**
   * Those that serve the service, and from then on what changes, until the signal fires. When it ends or throws, what it
   * has told holds on, and it is asked again after a growing pause of up to 10 seconds.
   */
  watch(
    query: { readonly service: string },
    options: {
      readonly signal: AbortSignal;
      /** Takes what goes wrong and is tried again by the source itself. */
      readonly onError: (error: Error) => void;
    },
  ): AsyncIterable<PeerSourceChange>;
}

/** What happens to the peers of a source. */
export type PeerSourceChange =
  /** It has come, or has another address. */
  | { readonly type: "put"; readonly peer: SourcePeer }
  /** It takes no new calls; those that run go on. */
  | { readonly type: "gone"; readonly id: EndpointId }
  /** All that there are have been told: of those told before, others are gone. */
  | { readonly type: "complete" };

export interface SourcePeer {
  readonly id: EndpointId;
  readonly addr: EndpointAddr;
}

/** Peers that are known beforehand. Throws a ConnectError InvalidArgument for a malformed one. */
export function listSource(targets: readonly Target[]): PeerSource {
  const addrs = targets.map(parsePeerAddr);
  return {
    name: "the list",
    async *watch(_, { signal }) {
      for (const addr of addrs) {
        yield { type: "put", peer: { id: addr.id, addr } };
      }
      yield { type: "complete" };
      await aborted(signal);
    },
  };
}
