import { type Deadline, Deadlines } from "./deadlines.ts";
import { FloodGuard } from "./flood-guard.ts";
import { connectionError, H3 } from "./h3-error.ts";
import type { Http3Limits } from "./http3-limits.ts";

/** A stream on which a field section is on its way. */
export interface SectionStream {
  /** Kept for the {@link PeerGuard}: runs while a section is on its way. */
  sectionDeadline: Deadline<SectionStream> | undefined;
  /** The section took longer than `headersTimeoutMs` to arrive. */
  sectionTimedOut(): void;
}

export interface PeerGuardClock {
  /** Monotonic milliseconds. */
  now(): number;
  /** `handleTimeout` is to be called at this time. */
  wakeAt(time: number): void;
}

/** Holds one peer to the limits that concern all of its streams together (RFC 9114 §10.5). */
export class PeerGuard {
  readonly #limits: Http3Limits;
  readonly #clock: PeerGuardClock;
  readonly #sections: Deadlines<SectionStream>;
  #partialSectionBytes = 0;
  readonly #resets: FloodGuard;
  readonly #ignoredFrames: FloodGuard;
  readonly #ignoredStreams: FloodGuard;

  constructor(limits: Http3Limits, clock: PeerGuardClock) {
    this.#limits = limits;
    this.#clock = clock;
    this.#sections = new Deadlines(limits.headersTimeoutMs);
    const windowMs = limits.floodWindowMs;
    this.#resets = new FloodGuard({ max: limits.maxResets, perUseful: 1, windowMs });
    this.#ignoredFrames = new FloodGuard({ max: limits.maxIgnoredFrames, perUseful: 8, windowMs });
    this.#ignoredStreams = new FloodGuard({
      max: limits.maxIgnoredStreams,
      perUseful: 0,
      windowMs,
    });
  }

  /** Starts the time that a section may take to arrive; has no effect while it runs. */
  sectionBegan(stream: SectionStream): void {
    if (stream.sectionDeadline === undefined) {
      const isFirst = this.#sections.next() === undefined;
      stream.sectionDeadline = this.#sections.start(stream, this.#clock.now());
      if (isFirst) {
        this.#wake();
      }
    }
  }

  sectionArrived(stream: SectionStream): void {
    if (stream.sectionDeadline !== undefined) {
      this.#sections.stop(stream.sectionDeadline);
      stream.sectionDeadline = undefined;
    }
  }

  /** More or less is kept of sections that have not arrived whole. False: too much, for all streams together. */
  partialSectionChanged(bytes: number): boolean {
    this.#partialSectionBytes += bytes;
    return bytes <= 0 || this.#partialSectionBytes <= this.#limits.maxPartialSectionBytes;
  }

  handleTimeout(now: number): void {
    for (const stream of this.#sections.expire(now)) {
      stream.sectionDeadline = undefined;
      stream.sectionTimedOut();
    }
    this.#wake();
  }

  /** A header section arrived. */
  messageArrived(): void {
    this.#ignoredFrames.useful();
  }

  /** A frame without effect. Throws H3Error (connection) when there are too many. */
  frameIgnored(): void {
    if (!this.#ignoredFrames.tolerates(this.#clock.now())) {
      throw excessive("frames without effect");
    }
  }

  /** A stream of unknown type. Throws H3Error (connection) when there are too many. */
  streamIgnored(): void {
    if (!this.#ignoredStreams.tolerates(this.#clock.now())) {
      throw excessive("streams of unknown type");
    }
  }

  /** Our answer to a request is complete. */
  requestAnswered(): void {
    this.#resets.useful();
  }

  /** The peer gave up a request before our answer was complete. Throws H3Error (connection) when it does so too often. */
  requestGivenUp(): void {
    if (!this.#resets.tolerates(this.#clock.now())) {
      throw excessive("requests that were given up");
    }
  }

  #wake(): void {
    const next = this.#sections.next();
    if (next !== undefined) {
      this.#clock.wakeAt(next);
    }
  }
}

function excessive(what: string): Error {
  return connectionError(H3.EXCESSIVE_LOAD, `too many ${what} (RFC 9114 §10.5)`);
}
