/** What shows of a path whether it lives. */
export interface PathActivity {
  /** Counts up. */
  readonly bytesReceived: number;
  /** Sent over it, and waiting for an acknowledgement. */
  readonly packetsWaiting: number;
  /** Counts up: acknowledged, over whatever path that came. */
  readonly packetsAcknowledged: number;
  /** Counts up. */
  readonly packetsLost: number;
  readonly rttMs: number;
}

/** No sign of life for this long, or so many round-trip times, though there should have been one: ask. */
const askAfterMs = 400;
const askAfterRtts = 3;
/** No sign of life for this long, or so many round-trip times: the path is dead. */
const deadAfterMs = 1_000;
const deadAfterRtts = 6;
/** Looks that are remembered: as far back as an acknowledgement may take. */
const maxLooks = 64;
/** What more than this many bytes since the last look are is data, and more of it is to be expected ... */
const dataBytes = 200;
/** ... for this long. */
const expectMs = 3_000;

/**
 * Notices that a path is dead long before its idle timeout: when what was sent over it is not acknowledged, or when data
 * was coming in and stops. It costs a packet now and then, since silence alone says nothing: who merely has nothing to say
 * answers when asked.
 *
 * iroh waits for the idle timeout, 15 seconds.
 */
export class PathWatch {
  #received: number;
  #acknowledged: number;
  /** How many packets had been sent at each look, where it was more than before; the oldest first. */
  readonly #looks: { readonly at: number; readonly sent: number }[] = [];
  /** When something came over it. */
  #heardAt: number;
  /** When something was sent over it that has been acknowledged. */
  #acknowledgedAt: number;
  /** Since when an acknowledgement is awaited. */
  #waitingSince: number | undefined;
  #askedAt: number | undefined;
  #expectUntil = 0;

  constructor({ bytesReceived, packetsAcknowledged }: PathActivity, now: number) {
    this.#received = bytesReceived;
    this.#acknowledged = packetsAcknowledged;
    this.#heardAt = now;
    this.#acknowledgedAt = now;
  }

  /**
   * When the last packet was sent over it that has been acknowledged: unlike what merely arrives, that is from the peer
   * itself. Not when the acknowledgement came, which tells nothing of what happened to this path in between: a peer that
   * has moved acknowledges over another path what it got before.
   */
  get acknowledgedAt(): number {
    return this.#acknowledgedAt;
  }

  /** When something came over it last, or was acknowledged that went over it. */
  get lifeAt(): number {
    return Math.max(this.#heardAt, this.#acknowledgedAt);
  }

  /** Since when there has been no answer to a question; undefined where nothing was asked. */
  get askedAt(): number | undefined {
    return this.#askedAt;
  }

  /** Whether another look within a moment could find anything. */
  isIdle(now: number): boolean {
    return this.#waitingSince === undefined && now >= this.#expectUntil;
  }

  /**
   * Looks at a path. To be called every {@link PathWatch.intervalMs}. "ask": have the peer answer over this path; "silent":
   * it was asked, and had the time to answer.
   */
  look(activity: PathActivity, now: number): "alive" | "ask" | "silent" {
    const { rttMs } = activity;
    this.#notice(activity, now);
    const quietMs = Math.max(
      this.#waitingSince === undefined ? 0 : now - this.#waitingSince,
      now < this.#expectUntil ? now - this.lifeAt : 0,
    );
    const askMs = Math.max(askAfterMs, askAfterRtts * rttMs);
    if (quietMs < askMs) {
      return "alive";
    }
    if (this.#askedAt === undefined) {
      this.#askedAt = now;
      return "ask";
    }
    const hadTime = now - this.#askedAt >= askMs;
    return hadTime && quietMs >= Math.max(deadAfterMs, deadAfterRtts * rttMs) ? "silent" : "alive";
  }

  #notice(activity: PathActivity, now: number): void {
    const { bytesReceived, packetsWaiting, packetsAcknowledged, packetsLost } = activity;
    const settled = packetsAcknowledged + packetsLost;
    this.#forgetBefore(settled);
    this.#remember(settled + packetsWaiting, now);
    if (packetsAcknowledged !== this.#acknowledged) {
      this.#acknowledged = packetsAcknowledged;
      this.#acknowledgedAt = Math.max(this.#acknowledgedAt, this.#sentAt(settled) ?? now);
      if (this.#acknowledgedAt > (this.#askedAt ?? 0)) {
        this.#askedAt = undefined;
      }
      this.#waitingSince = packetsWaiting > 0 ? (this.#sentAt(settled + 1) ?? now) : undefined;
    } else if (packetsWaiting > 0) {
      this.#waitingSince ??= now;
    }
    if (bytesReceived !== this.#received) {
      if (bytesReceived - this.#received > dataBytes) {
        this.#expectUntil = now + expectMs;
      }
      this.#received = bytesReceived;
      this.#heardAt = now;
      if (this.#waitingSince === undefined) {
        this.#askedAt = undefined;
      }
    }
  }

  /** Of packets before this number nothing will be asked. What that drops is most of it, as soon as nothing goes on. */
  #forgetBefore(number: number): void {
    const kept = this.#looks.findIndex(({ sent }) => sent >= number);
    if (kept > 0) {
      this.#looks.splice(0, kept);
    }
  }

  #remember(sent: number, now: number): void {
    if (sent > (this.#looks.at(-1)?.sent ?? 0)) {
      this.#looks.push({ at: now, sent });
      if (this.#looks.length > maxLooks) {
        this.#looks.shift();
      }
    }
  }

  /** When the packet of this number, counted from 1, was first seen to have been sent; undefined while it was not. */
  #sentAt(number: number): number | undefined {
    return this.#looks.find(({ sent }) => sent >= number)?.at;
  }

  /** How often to look while anything goes on. Milliseconds. */
  static readonly intervalMs: number = 100;
}
