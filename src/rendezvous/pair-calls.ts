import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { AsyncQueue } from "../base/async-queue.ts";
import { decodeHex } from "../base/hex.ts";
import { onAbort } from "../base/on-abort.ts";
import { CallCounts } from "./call-counts.ts";
import type { CallParts } from "./call-parts.ts";
import {
  type PairResponse,
  PairResponseSchema,
} from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { leaseLost, renewed } from "./lease-outcome.ts";
import { watchLease } from "./lease-watch.ts";
import { randomHex } from "./memory-state.ts";
import { peerMessage } from "./peer-message.ts";
import type { PeerEntry } from "./peer-set.ts";
import type { LeaseKey } from "./rendezvous-state.ts";

type PairEvent =
  | {
      readonly type: "paired";
      readonly pairId: string;
      readonly partner: string;
      readonly first: boolean;
    }
  | { readonly type: "left" | "newer" | "caller" | "closing" | "stale" | "unknown" | "replaced" };

/** Calls that wait for a partner, or have one. */
export class PairCalls {
  readonly #parts: CallParts;
  readonly #counts: CallCounts;

  constructor(parts: CallParts) {
    this.#parts = parts;
    const { maxPairs: total, maxPairsPerPeer: perCaller } = parts.limits;
    this.#counts = new CallCounts("ask for a partner", { total, perCaller });
  }

  get total(): number {
    return this.#counts.total;
  }

  async *open(lease: LeaseKey, pool: string, signal: AbortSignal): AsyncGenerator<PairResponse> {
    const { state, platform, closing } = this.#parts;
    const leave = [this.#counts.enter(lease.id)];
    // A pair, and one more event that ends it.
    const events = new AsyncQueue<PairEvent>();
    const end = (type: Exclude<PairEvent["type"], "paired">): void => {
      events.push({ type });
      events.end();
    };
    try {
      const { version } = renewed(await state.renew(lease));
      leave.push(await watchLease(state, lease, version, end));
      leave.push(onAbort(signal, () => end("caller")));
      leave.push(onAbort(closing, () => end("closing")));
      yield create(PairResponseSchema, { state: { case: "waiting", value: {} } });
      if (signal.aborted || closing.aborted) {
        end(signal.aborted ? "caller" : "closing");
      } else {
        const seat = {
          namespace: lease.namespace,
          pool,
          id: lease.id,
          ticket: randomHex(platform),
        };
        const giveUp = await state.pair(seat, {
          paired: (pair) => events.push({ ...pair, type: "paired" }),
          left: () => end("left"),
          replaced: () => end("newer"),
        });
        // Before anything else: who is gone is no partner any more.
        leave.unshift(giveUp);
      }
      for (let event = await events.next(); event !== undefined; event = await events.next()) {
        const response = await this.#responseTo(event, lease);
        if (response !== undefined) {
          yield response;
        }
      }
    } finally {
      for (const each of leave) {
        each();
      }
    }
  }

  /** Undefined: the call ends. Throws what it fails with. */
  async #responseTo(event: PairEvent, lease: LeaseKey): Promise<PairResponse | undefined> {
    switch (event.type) {
      case "paired": {
        const entry = await this.#find(lease.namespace, event.partner);
        if (entry === undefined) {
          return undefined;
        }
        this.#parts.metrics.pairs += 1;
        const { pairId, first } = event;
        return create(PairResponseSchema, {
          state: {
            case: "paired",
            value: { pairId: decodeHex(pairId), partner: peerMessage(entry), first },
          },
        });
      }
      case "left":
        return create(PairResponseSchema, { state: { case: "left", value: {} } });
      case "caller":
        return undefined;
      case "newer":
        throw new ConnectError("the same peer has asked this pool again", Code.Aborted);
      case "closing":
      case "stale":
        throw new ConnectError("this place is closing, or was cut off", Code.Unavailable);
      case "unknown":
      case "replaced":
        throw leaseLost(event.type);
    }
  }

  /** Undefined for one that has gone meanwhile; an event then follows. */
  async #find(namespace: string, id: string): Promise<PeerEntry | undefined> {
    return (await this.#parts.state.set(namespace))?.get(id);
  }
}
