import type { VirtualPlatform } from "./virtual-platform.ts";

/** How a stretch of the network treats what goes over it, one way. */
export interface LinkOptions {
  /** Time that a datagram takes. Default 10. */
  readonly delayMs: number;
  /** Up to this much more, different for each datagram, so that they overtake each other. Default 0. */
  readonly jitterMs: number;
  /** Share of datagrams that get lost, 0 to 1. Default 0. */
  readonly loss: number;
  /** Share of datagrams that arrive twice, 0 to 1. Default 0. */
  readonly duplication: number;
  /** Longer datagrams get lost. Default 1452. */
  readonly mtu: number;
  /** Bytes per second. Default: no limit. */
  readonly bandwidth: number;
  /** Bytes that wait for `bandwidth` at most; more get lost. Default 256 KiB. */
  readonly queueBytes: number;
}

export const defaultLink: LinkOptions = {
  delayMs: 10,
  jitterMs: 0,
  loss: 0,
  duplication: 0,
  mtu: 1_452,
  bandwidth: Number.POSITIVE_INFINITY,
  queueBytes: 256 * 1024,
};

/** Least wait of TCP for an acknowledgement before it sends again. */
const minRetransmissionMs = 200;

/** A stretch of the network, one way. */
export class VirtualLink {
  options: LinkOptions;
  readonly #platform: VirtualPlatform;
  /** When all that waits for the bandwidth will have left. */
  #busyUntil = 0;

  constructor(platform: VirtualPlatform, options: Partial<LinkOptions> = {}) {
    this.#platform = platform;
    this.options = { ...defaultLink, ...options };
  }

  /** Calls `arrive` for a datagram of so many bytes when it has got through: mostly once, and never within this call. */
  carry(length: number, arrive: () => void): void {
    const { mtu, loss, duplication, delayMs, jitterMs, queueBytes } = this.options;
    if (length > mtu || this.#isHit(loss)) {
      return;
    }
    const waitMs = this.#queue(length, queueBytes);
    if (waitMs === undefined) {
      return;
    }
    const copies = this.#isHit(duplication) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      const jitter = jitterMs > 0 ? this.#platform.random() * jitterMs : 0;
      this.#platform.setTimer(roundUpToMicroseconds(waitMs + delayMs + jitter), arrive);
    }
  }

  /** How long so many bytes of a TCP connection take: what is lost comes later. Milliseconds; Infinity: never. */
  transitMs(length: number): number {
    const { loss, delayMs, jitterMs } = this.options;
    if (loss >= 1) {
      return Number.POSITIVE_INFINITY;
    }
    let takesMs = (this.#queue(length, Number.POSITIVE_INFINITY) ?? 0) + delayMs;
    takesMs += jitterMs > 0 ? this.#platform.random() * jitterMs : 0;
    // A message is several packets; one of them lost holds up the rest, and what is sent again may get lost again.
    while (this.#isHit(loss)) {
      takesMs += Math.max(minRetransmissionMs, 2 * delayMs);
    }
    return roundUpToMicroseconds(takesMs);
  }

  /** Dice are thrown only where there is something to win, so that a link without loss changes nothing elsewhere. */
  #isHit(share: number): boolean {
    return share > 0 && this.#platform.random() < share;
  }

  /** How long `length` bytes wait until they have left; undefined when they do not fit into the queue. */
  #queue(length: number, queueBytes: number): number | undefined {
    const { bandwidth } = this.options;
    if (bandwidth === Number.POSITIVE_INFINITY) {
      return 0;
    }
    const now = this.#platform.now();
    const start = Math.max(this.#busyUntil, now);
    const queued = ((start - now) / 1_000) * bandwidth;
    if (queued + length > queueBytes) {
      return undefined;
    }
    this.#busyUntil = start + (length / bandwidth) * 1_000;
    return this.#busyUntil - now;
  }
}

/** Clocks of protocols count in whole units, and a moment that lies between two of them comes too early. */
function roundUpToMicroseconds(ms: number): number {
  return Math.ceil(ms * 1_000) / 1_000;
}
