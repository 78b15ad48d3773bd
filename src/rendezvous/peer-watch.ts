import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { onAbort } from "../base/on-abort.ts";
import { pause } from "../base/pause.ts";
import type { Platform } from "../base/platform.ts";
import { RetryDelays } from "../base/retry-delays.ts";
import { EndpointId } from "../identity/endpoint-id.ts";
import { type FoundPeer, foundPeer } from "./found-peer.ts";
import type {
  RendezvousService,
  WatchResponse,
} from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { type PeerQuery, selectorOf } from "./peer-query.ts";

/** What happens to the peers that fit. */
export type PeerChange =
  /** It has come, or says something else of itself. */
  | { readonly type: "put"; readonly peer: FoundPeer }
  | { readonly type: "gone"; readonly id: EndpointId }
  /** All that there are have been told: for the first time, or again after the place could not be reached. */
  | { readonly type: "complete" };

export interface WatchOptions {
  /** Ends it, with its reason as the error. */
  readonly signal?: AbortSignal | undefined;
  /** Takes what goes wrong, which is tried again. Default: dropped. */
  readonly onError?: ((error: ConnectError) => void) | undefined;
}

export interface PeerWatchContext {
  readonly client: Client<typeof RendezvousService>;
  readonly namespace: string;
  readonly platform: Platform;
}

/**
 * Watches, for as long as somebody reads: what is lost of the connection is made up for. `return()` also ends a `next()` that
 * waits for a change, which a generator by itself would wait for.
 */
export function watchPeers(
  context: PeerWatchContext,
  query: PeerQuery,
  { signal, onError }: WatchOptions,
): AsyncGenerator<PeerChange, void, undefined> {
  const leaving = new AbortController();
  const changes = untilLeft(signal, leaving, followPeers(context, query, leaving.signal, onError));
  const end = changes.return.bind(changes);
  return Object.assign(changes, {
    return: () => {
      leaving.abort(left);
      return end();
    },
  });
}

/** The reason of who has left and wants to hear nothing more. */
const left = Symbol("left");

async function* untilLeft(
  signal: AbortSignal | undefined,
  leaving: AbortController,
  changes: AsyncGenerator<PeerChange, void, undefined>,
): AsyncGenerator<PeerChange, void, undefined> {
  signal?.throwIfAborted();
  const stopListening = onAbort(signal, () => leaving.abort(signal?.reason));
  try {
    yield* changes;
  } catch (error) {
    if (error !== left) {
      throw error;
    }
  } finally {
    stopListening();
  }
}

async function* followPeers(
  { client, namespace, platform }: PeerWatchContext,
  query: PeerQuery,
  signal: AbortSignal,
  onError: WatchOptions["onError"],
): AsyncGenerator<PeerChange, void, undefined> {
  const selector = selectorOf(namespace, query);
  const known = new KnownPeers(namespace);
  const delays = new RetryDelays(platform);
  let resume = new Uint8Array();
  for (;;) {
    signal.throwIfAborted();
    try {
      for await (const response of client.watch({ selector, resume }, { signal })) {
        delays.succeeded();
        yield* known.take(response);
        if (response.resume.length > 0) {
          resume = new Uint8Array(response.resume);
        }
      }
    } catch (error) {
      signal.throwIfAborted();
      const problem = ConnectError.from(error);
      if (permanent.includes(problem.code)) {
        throw problem;
      }
      onError?.(problem);
    }
    await pause(platform, delays.failed(), signal);
  }
}

/** What nobody gets by trying again. */
const permanent: readonly Code[] = [
  Code.InvalidArgument,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.Unimplemented,
];

/** What has been told so far, so that a set that begins anew is told as changes. Pure. */
export class KnownPeers {
  readonly #namespace: string;
  readonly #ids = new Map<string, EndpointId>();
  /** Known before the set began anew, and not told since. */
  #unseen: Map<string, EndpointId> | undefined;

  constructor(namespace: string) {
    this.#namespace = namespace;
  }

  *take({ reset, changes, complete }: WatchResponse): Generator<PeerChange> {
    if (reset) {
      this.#unseen = new Map(this.#ids);
    }
    for (const { change } of changes) {
      if (change.case === "put") {
        const peer = foundPeer(change.value, this.#namespace);
        if (peer !== undefined) {
          const key = peer.id.toString();
          this.#ids.set(key, peer.id);
          this.#unseen?.delete(key);
          yield { type: "put", peer };
        }
      } else if (change.case === "gone" && change.value.length === 32) {
        yield* this.#drop(EndpointId.fromBytes(change.value));
      }
    }
    if (complete) {
      const unseen = this.#unseen;
      this.#unseen = undefined;
      for (const id of unseen?.values() ?? []) {
        yield* this.#drop(id);
      }
      yield { type: "complete" };
    }
  }

  *#drop(id: EndpointId): Generator<PeerChange> {
    this.#unseen?.delete(id.toString());
    if (this.#ids.delete(id.toString())) {
      yield { type: "gone", id };
    }
  }
}
