// A client's and a server's HTTP/3 core, joined by a channel that keeps the order within each stream and no other: bytes
// are cut and overtake those of other streams as chance has it.

import type { Http3CoreOptions } from "../../src/http3/http3-core.ts";
import { PeerOf, type PeerStream } from "./http3-peer.ts";

/** One direction of a stream. */
interface Lane {
  readonly from: PeerStream;
  readonly to: PeerStream;
  sent: number;
  finSent: boolean;
  resetSent: boolean;
  stopSent: boolean;
}

export class JoinedCores {
  readonly client: PeerOf;
  readonly server: PeerOf;
  readonly #random: () => number;
  readonly #lanes: Lane[] = [];
  readonly #joined: Set<PeerStream> = new Set();

  constructor(
    random: () => number,
    options: Partial<Record<"client" | "server", Partial<Http3CoreOptions>>> = {},
  ) {
    this.#random = random;
    this.client = new PeerOf({ role: "client", ...options.client });
    this.server = new PeerOf({ role: "server", ...options.server });
  }

  /** Carries something over, if there is anything. */
  step(): boolean {
    this.#join(this.client, this.server);
    this.#join(this.server, this.client);
    this.client.settle();
    this.server.settle();
    const ready = this.#lanes.filter((lane) => hasNews(lane));
    const lane = ready[Math.floor(this.#random() * ready.length)];
    if (lane === undefined) {
      return false;
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

  #join(from: PeerOf, to: PeerOf): void {
    for (const stream of from.opened) {
      if (!this.#joined.has(stream)) {
        this.#joined.add(stream);
        const bidirectional = (stream.id & 2) === 0;
        const other = to.open(bidirectional ? "bidirectional" : "unidirectional");
        this.#lanes.push(lane(stream, other));
        this.#lanes.push(lane(other, stream));
      }
    }
  }

  #carry(lane: Lane): void {
    const { from, to } = lane;
    if (to.stopCode !== undefined && !lane.stopSent) {
      lane.stopSent = true;
      from.sendStop(to.stopCode);
      from.reset(to.stopCode);
      return;
    }
    if (from.resetCode !== undefined) {
      lane.resetSent = true;
      to.sendReset(from.resetCode);
      return;
    }
    const rest = from.bytes.subarray(lane.sent);
    const length = Math.min(1 + Math.floor(this.#random() * rest.length), rest.length);
    lane.sent += length;
    lane.finSent = from.finished && length === rest.length;
    to.send(rest.slice(0, length), { fin: lane.finSent });
    if (lane.finSent) {
      from.acknowledge();
    }
  }
}

function lane(from: PeerStream, to: PeerStream): Lane {
  return { from, to, sent: 0, finSent: false, resetSent: false, stopSent: false };
}

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
