import type { Platform, Timer } from "../base/platform.ts";
import type { VirtualPlatform } from "./virtual-platform.ts";

/** Differences between moments below this are errors of floating point. Milliseconds. */
const clockGrain = 1e-6;

interface HostTimer extends Timer {
  /** By the clock of the host. */
  readonly at: number;
  readonly callback: () => void;
  running: Timer | undefined;
}

/** What was to happen while the host stood still. */
interface Held {
  readonly timers: Set<HostTimer>;
  readonly events: (() => void)[];
}

/**
 * The clock and the timers of one host, which can stand still while those of the others go on.
 *
 * "frozen" is what SIGSTOP does to a process: both clocks go on, timers and events wait. "sleeping" is what a laptop does
 * whose lid is closed: the monotonic clock stands still as well (CLOCK_MONOTONIC of Linux), and the date goes on.
 */
export class HostPlatform implements Platform {
  readonly #world: VirtualPlatform;
  #state: "running" | "frozen" | "sleeping" = "running";
  /** When it fell asleep, by the clock of the world. */
  #sleptAt = 0;
  /** For how long it has slept in all, before the sleep of now. */
  #sleptMs = 0;
  #held: Held = { timers: new Set(), events: [] };

  constructor(world: VirtualPlatform) {
    this.#world = world;
  }

  get state(): "running" | "frozen" | "sleeping" {
    return this.#state;
  }

  now(): number {
    const until = this.#state === "sleeping" ? this.#sleptAt : this.#world.now();
    return until - this.#sleptMs;
  }

  unixMs(): number {
    return this.#world.unixMs();
  }

  randomFill(into: Uint8Array): void {
    this.#world.randomFill(into);
  }

  soon(callback: () => void): void {
    this.#world.soon(() => this.event(callback));
  }

  settled(callback: () => void): void {
    this.#world.settled(() => this.event(callback));
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer: HostTimer = {
      timer: undefined,
      at: this.now() + Math.max(delayMs, 0),
      callback,
      running: undefined,
    };
    this.#arm(timer);
    return timer;
  }

  clearTimer(timer: Timer): void {
    const hostTimer = timer as HostTimer;
    if (hostTimer.running !== undefined) {
      this.#world.clearTimer(hostTimer.running);
      hostTimer.running = undefined;
    }
    this.#held.timers.delete(hostTimer);
  }

  /** Runs `callback` now, or when the host goes on. */
  event(callback: () => void): void {
    if (this.#state === "running") {
      callback();
    } else {
      this.#held.events.push(callback);
    }
  }

  freeze(): void {
    if (this.#state === "running") {
      this.#state = "frozen";
    }
  }

  sleep(): void {
    if (this.#state !== "sleeping") {
      this.#sleptAt = this.#world.now();
      this.#state = "sleeping";
    }
  }

  /** Timers that are late come first, as in Node.js, then what has happened meanwhile. */
  resume(): void {
    if (this.#state === "sleeping") {
      this.#sleptMs += this.#world.now() - this.#sleptAt;
    }
    this.#state = "running";
    const { timers, events } = this.#held;
    this.#held = { timers: new Set(), events: [] };
    for (const timer of timers) {
      this.#arm(timer);
    }
    this.#world.setTimer(0, () => {
      for (const callback of events) {
        this.event(callback);
      }
    });
  }

  #arm(timer: HostTimer): void {
    // By whole microseconds: the two clocks count from different moments, and a timer must not come before its time.
    const delayMs = Math.ceil((timer.at - this.now()) * 1_000) / 1_000;
    timer.running = this.#world.setTimer(delayMs, () => {
      timer.running = undefined;
      if (this.#state !== "running") {
        this.#held.timers.add(timer);
      } else if (timer.at - this.now() > clockGrain) {
        // It has slept since.
        this.#arm(timer);
      } else {
        timer.callback();
      }
    });
  }
}
