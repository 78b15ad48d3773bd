import { type Client, Code, ConnectError } from "@connectrpc/connect";
import { encodeHex } from "../base/hex.ts";
import { onAbort } from "../base/on-abort.ts";
import { pause } from "../base/pause.ts";
import type { Platform } from "../base/platform.ts";
import { RetryDelays } from "../base/retry-delays.ts";
import { type FoundPeer, foundPeer } from "./found-peer.ts";
import type {
  PairResponse,
  RendezvousService,
} from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import type { KeptRegistration } from "./kept-registration.ts";

/** Why a pair is over: one of both has left it, or the place that knows of it was lost. */
export type PairEnd = "left by us" | "left by the partner" | "place lost";

/** Two peers that have got each other. Lasts until one of them leaves. */
export interface Pair extends AsyncDisposable {
  /** The same for both: 32 hexadecimal digits. */
  readonly id: string;
  readonly partner: FoundPeer;
  /** True for one of both, who has waited: so both know who dials. */
  readonly first: boolean;
  readonly ended: Promise<PairEnd>;
  /** Ends the pair. Connections to the partner are another matter. Idempotent. */
  leave(): Promise<void>;
}

export interface PairOptions {
  /** Whoever names the same pool may be the partner. Default "". */
  readonly pool?: string;
  /** Ends the wait, with its reason as the error. Does not end a pair. */
  readonly signal?: AbortSignal | undefined;
  /** Takes what goes wrong while it waits, which is tried again. Default: dropped. */
  readonly onError?: (error: ConnectError) => void;
}

export interface PairContext {
  readonly client: Client<typeof RendezvousService>;
  readonly namespace: string;
  readonly platform: Platform;
}

/** Waits for a partner, also while the place cannot be reached for a time. */
export async function findPartner(
  context: PairContext,
  registration: KeptRegistration,
  { pool = "", signal, onError }: PairOptions,
): Promise<Pair> {
  const delays = new RetryDelays(context.platform);
  for (;;) {
    await registration.ready({ signal });
    const { lease } = registration;
    if (lease === undefined) {
      continue;
    }
    const leaving = new AbortController();
    const stopListening = onAbort(signal, () => leaving.abort(signal?.reason));
    try {
      signal?.throwIfAborted();
      const responses = context.client.pair({ lease, pool }, { signal: leaving.signal });
      const events = responses[Symbol.asyncIterator]();
      for (let next = await events.next(); next.done !== true; next = await events.next()) {
        const { state } = next.value;
        const partner =
          state.case === "paired" ? foundPeer(state.value.partner, context.namespace) : undefined;
        if (state.case === "paired" && partner !== undefined) {
          const { pairId, first } = state.value;
          return new OpenPair({ id: encodeHex(pairId), partner, first, events, leaving });
        }
      }
    } catch (error) {
      signal?.throwIfAborted();
      const problem = ConnectError.from(error);
      if (!passing.includes(problem.code)) {
        throw problem;
      }
      onError?.(problem);
    } finally {
      stopListening();
    }
    leaving.abort();
    const signals = signal === undefined ? [] : [signal];
    await pause(context.platform, delays.failed(), ...signals);
  }
}

/** What is over when it is tried again: the place or the lease is lost. */
const passing: readonly Code[] = [Code.Unavailable, Code.NotFound, Code.DeadlineExceeded];

interface OpenPairOptions extends Pick<Pair, "id" | "partner" | "first"> {
  readonly events: AsyncIterator<PairResponse>;
  readonly leaving: AbortController;
}

class OpenPair implements Pair {
  readonly id: string;
  readonly partner: FoundPeer;
  readonly first: boolean;
  readonly ended: Promise<PairEnd>;
  readonly #leaving: AbortController;

  constructor({ id, partner, first, events, leaving }: OpenPairOptions) {
    this.id = id;
    this.partner = partner;
    this.first = first;
    this.#leaving = leaving;
    this.ended = this.#follow(events);
  }

  async leave(): Promise<void> {
    this.#leaving.abort();
    await this.ended;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }

  /** Never rejects. */
  async #follow(events: AsyncIterator<PairResponse>): Promise<PairEnd> {
    try {
      for (let next = await events.next(); next.done !== true; next = await events.next()) {
        if (next.value.state.case === "left") {
          return "left by the partner";
        }
      }
    } catch {
      // Who asks is told how it ended.
    }
    return this.#leaving.signal.aborted ? "left by us" : "place lost";
  }
}
