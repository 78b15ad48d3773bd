// A client's and a server's HTTP/3 core, joined by a channel that keeps the order within each stream and no other: bytes
// are cut and overtake those of other streams as chance has it.

import type { Http3CoreOptions } from "../../src/http3/http3-core.ts";
import { PeerOf, type PeerStream } from "./http3-peer.ts";

export type Side = "client" | "server";

/** What reaches one side of the channel. */
export type Arrival =
  | {
      readonly type: "bytes";
      readonly streamId: number;
      readonly bytes: Uint8Array;
      readonly fin: boolean;
    }
  | { readonly type: "reset" | "stop"; readonly streamId: number; readonly code: bigint }
  | { readonly type: "acknowledged"; readonly streamId: number };

export interface JoinedCoresOptions {
  readonly client?: Partial<Http3CoreOptions>;
  readonly server?: Partial<Http3CoreOptions>;
  /** Which share of the streams' directions is slow: hardly moves while there is something to carry on others. Default 0. */
  readonly slow?: number;
}

/** One direction of a stream. */
interface Lane {
  readonly from: PeerStream;
  readonly to: PeerStream;
  /** The side of `to`. */
  readonly at: Side;
  readonly slow: boolean;
  sent: number;
  finSent: boolean;
  resetSent: boolean;
  stopSent: boolean;
}

export class JoinedCores {
  readonly client: PeerOf;
  readonly server: PeerOf;
  /** Is told what reaches a side, just before its core is. */
  onArrival: (at: Side, arrival: Arrival) => void = () => {};
  readonly #random: () => number;
  readonly #slow: number;
  readonly #lanes: Lane[] = [];
  readonly #joined: Set<PeerStream> = new Set();

  constructor(random: () => number, options: JoinedCoresOptions = {}) {
    this.#random = random;
    this.#slow = options.slow ?? 0;
    this.client = new PeerOf({ role: "client", ...options.client });
    this.server = new PeerOf({ role: "server", ...options.server });
  }

  /** Carries something over, if there is anything. */
  step(): boolean {
    this.client.settle();
    this.server.settle();
    const opened = [this.#join("client", "server"), this.#join("server", "client")];
    const all = this.#lanes.filter((lane) => hasNews(lane));
    const quick = all.filter(({ slow }) => !slow);
    const ready = quick.length === 0 || this.#random() < slowChance ? all : quick;
    const lane = ready[Math.floor(this.#random() * ready.length)];
    if (lane === undefined) {
      return opened.includes(true);
    }
    this.#carry(lane);
    return true;
  }

  /** Carries everything over. */
  run(): void {
    for (let steps = 0; this.step(); steps += 1) {
      if (steps > 1_000_000) {
        throw new Error("the two cores do not settle");
      }
    }
  }

  /** Gives the streams that a side has opened their other ends; false when there were none. */
  #join(side: Side, other: Side): boolean {
    let any = false;
    for (const from of this[side].opened) {
      if (!this.#joined.has(from)) {
        any = true;
        this.#joined.add(from);
        const bidirectional = (from.id & 2) === 0;
        const to = this[other].open(bidirectional ? "bidirectional" : "unidirectional");
        this.#lanes.push(this.#lane(from, to, other), this.#lane(to, from, side));
      }
    }
    return any;
  }

  #lane(from: PeerStream, to: PeerStream, at: Side): Lane {
    const slow = this.#slow > 0 && this.#random() < this.#slow;
    return { from, to, at, slow, sent: 0, finSent: false, resetSent: false, stopSent: false };
  }

  #carry(lane: Lane): void {
    const { from, to, at } = lane;
    const back = at === "client" ? "server" : "client";
    const streamId = from.id;
    if (to.stopCode !== undefined && !lane.stopSent) {
      lane.stopSent = true;
      this.onArrival(back, { type: "stop", streamId, code: to.stopCode });
      from.sendStop(to.stopCode);
      from.reset(to.stopCode);
      return;
    }
    if (from.resetCode !== undefined) {
      lane.resetSent = true;
      this.onArrival(at, { type: "reset", streamId, code: from.resetCode });
      to.sendReset(from.resetCode);
      return;
    }
    const rest = from.bytes.subarray(lane.sent);
    const length = Math.min(1 + Math.floor(this.#random() * rest.length), rest.length);
    const bytes = rest.slice(0, length);
    const fin = from.finished && length === rest.length;
    lane.sent += length;
    lane.finSent = fin;
    this.onArrival(at, { type: "bytes", streamId, bytes, fin });
    to.send(bytes, { fin });
    if (fin) {
      this.onArrival(back, { type: "acknowledged", streamId });
      from.acknowledge();
    }
  }
}

/** How often a slow lane has the same chance as the others. */
const slowChance = 0.02;

function hasNews({ from, to, sent, finSent, resetSent, stopSent }: Lane): boolean {
  if (resetSent || finSent) {
    return false;
  }
  return (
    (to.stopCode !== undefined && !stopSent) ||
    from.resetCode !== undefined ||
    from.finished ||
    from.bytes.length > sent
  );
}
