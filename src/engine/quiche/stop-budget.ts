import type { StreamDirection, TransportOptions } from "../engine.ts";

/** Streams that we have opened ourselves cost memory alone when quiche fails to forget them. */
const maxLocal = 1_000;

/** What is asked of a stream. */
export interface StoppedStream {
  readonly direction: StreamDirection;
  readonly initiator: "local" | "peer";
  readonly stopWasSent: boolean;
}

/**
 * How many streams may be stopped by telling the peer so (STOP_SENDING). quiche forgets such a stream, and gives the peer
 * its credit back, only when a reset comes in answer while something of ours is still to be acknowledged; it never
 * forgets a unidirectional one. Half of the credit is left for work: streams that are stopped beyond the other half are
 * read and thrown away, without telling the peer.
 */
export class StopBudget {
  readonly #left: Record<"local" | "peer", Record<StreamDirection, number>>;

  constructor({ maxBidirectionalStreams, maxUnidirectionalStreams }: TransportOptions) {
    this.#left = {
      local: { bidirectional: maxLocal, unidirectional: maxLocal },
      peer: {
        bidirectional: Math.floor(maxBidirectionalStreams / 2),
        unidirectional: Math.floor(maxUnidirectionalStreams / 2),
      },
    };
  }

  /** False: the peer must not be told. */
  take({ direction, initiator }: StoppedStream): boolean {
    const left = this.#left[initiator];
    if (left[direction] < 1) {
      return false;
    }
    left[direction] -= 1;
    return true;
  }

  /** quiche has forgotten the stream. */
  giveBack({ direction, initiator, stopWasSent }: StoppedStream): void {
    if (stopWasSent) {
      this.#left[initiator][direction] += 1;
    }
  }
}
