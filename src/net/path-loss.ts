/** Packets that the estimate rests on at most: older ones count half, a quarter, and so on. */
const memoryPackets = 64;
/** Fewer say nothing. */
const leastPackets = 32;
/** From this share of lost packets on a path is a bad one. */
const lossyAbove = 0.25;
/** Only below this share it is a good one again. */
const cleanBelow = 0.12;

/** Counters of a path. */
export interface PathPackets {
  readonly packetsAcknowledged: number;
  readonly packetsLost: number;
}

/** How many packets a path loses, from counters that only grow. */
export class PathLoss {
  #packetsAcknowledged = 0;
  #packetsLost = 0;
  #sent = 0;
  #lost = 0;
  #lossy = false;

  /** Whether it loses so much that a slower one would be better. */
  get isLossy(): boolean {
    return this.#lossy;
  }

  /** Share of packets lost of late, 0 to 1; 0 while nothing is known. */
  get rate(): number {
    return this.#sent < leastPackets ? 0 : Math.min(1, this.#lost / this.#sent);
  }

  /**
   * Takes the counters as they are now. Of what was sent only that counts which was to be acknowledged: acknowledgements
   * themselves are never missed.
   */
  update({ packetsAcknowledged, packetsLost }: PathPackets): void {
    const lost = Math.max(0, packetsLost - this.#packetsLost);
    this.#sent += Math.max(0, packetsAcknowledged - this.#packetsAcknowledged) + lost;
    this.#lost += lost;
    this.#packetsAcknowledged = packetsAcknowledged;
    this.#packetsLost = packetsLost;
    if (this.#sent >= leastPackets) {
      this.#lossy = this.rate >= (this.#lossy ? cleanBelow : lossyAbove);
    }
    if (this.#sent > memoryPackets) {
      const share = memoryPackets / 2 / this.#sent;
      this.#sent *= share;
      this.#lost *= share;
    }
  }
}
