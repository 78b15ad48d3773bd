/** Counters of a path that only grow, and its round-trip time. */
export interface PathActivity {
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly rttMs: number;
}

/** Nothing was heard for this long, or so many round-trip times, though there should have been: ask. */
const askAfterMs = 400;
const askAfterRtts = 3;
/** Nothing was heard for this long, or so many round-trip times: the path is dead. */
const deadAfterMs = 1_000;
const deadAfterRtts = 6;
/** What more than this many bytes since the last look are is data, and more of it is to be expected ... */
const dataBytes = 200;
/** ... for this long. */
const expectMs = 3_000;

/**
 * Notices that a path is dead long before its idle timeout: when something was sent and nothing comes back, or when data
 * was coming in and stops. Acknowledgements count as a sign of life. It costs a packet now and then, since silence alone
 * says nothing: what has merely nothing to say answers when it is asked.
 *
 * iroh waits for the idle timeout, 15 seconds.
 */
export class PathWatch {
  #sent: number;
  #received: number;
  #heardAt: number;
  /** Since when an answer is awaited. */
  #waitingSince: number | undefined;
  #askedAt: number | undefined;
  #expectUntil = 0;

  constructor({ bytesSent, bytesReceived }: PathActivity, now: number) {
    this.#sent = bytesSent;
    this.#received = bytesReceived;
    this.#heardAt = now;
  }

  /** Whether another look within a moment could find anything. */
  isIdle(now: number): boolean {
    return this.#waitingSince === undefined && now >= this.#expectUntil;
  }

  /** Looks at a path. To be called every {@link PathWatch.intervalMs}; "ask": have the peer answer over this path. */
  look({ bytesSent, bytesReceived, rttMs }: PathActivity, now: number): "alive" | "ask" | "dead" {
    if (bytesReceived !== this.#received) {
      if (bytesReceived - this.#received > dataBytes) {
        this.#expectUntil = now + expectMs;
      }
      this.#received = bytesReceived;
      this.#sent = bytesSent;
      this.#heardAt = now;
      this.#waitingSince = undefined;
      this.#askedAt = undefined;
      return "alive";
    }
    if (bytesSent !== this.#sent) {
      this.#sent = bytesSent;
      this.#waitingSince ??= now;
    }
    const expectsData = now < this.#expectUntil;
    const since = expectsData ? this.#heardAt : this.#waitingSince;
    if (since === undefined) {
      return "alive";
    }
    const quietMs = now - since;
    const askMs = Math.max(askAfterMs, askAfterRtts * rttMs);
    if (quietMs < askMs) {
      return "alive";
    }
    if (this.#askedAt === undefined) {
      this.#askedAt = now;
      return "ask";
    }
    const hadTime = now - this.#askedAt >= askMs;
    return hadTime && quietMs >= Math.max(deadAfterMs, deadAfterRtts * rttMs) ? "dead" : "alive";
  }

  /** How often to look while anything goes on. Milliseconds. */
  static readonly intervalMs: number = 200;
}
