import type { Platform, Timer } from "../base/platform.ts";

/** Callbacks at one moment of virtual time after which something is going round in circles. */
const maxCallbacksPerMoment = 1_000_000;
/** 2024-01-01: what `unixMs` says at the start. */
const startUnixMs = 1_704_067_200_000;

interface ScheduledCall extends Timer {
  readonly at: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/**
 * A world with a clock that jumps from one thing to do to the next, and dice that are thrown the same way for the same
 * seed. Nothing happens by itself: `run` and `runAsync` make time pass.
 */
export class VirtualPlatform implements Platform {
  readonly #random: SeededRandom;
  readonly #calls = new CallQueue();
  #soon: (() => void)[] = [];
  #now = 0;
  #order = 0;
  /** Run at the present moment. */
  #callbacks = 0;

  constructor(seed: number) {
    this.#random = new SeededRandom(seed);
  }

  now(): number {
    return this.#now;
  }

  unixMs(): number {
    return startUnixMs + this.#now;
  }

  randomFill(into: Uint8Array): void {
    for (let index = 0; index < into.length; index += 1) {
      into[index] = this.#random.next() >>> 24;
    }
  }

  /** From 0 up to, but not including, 1. */
  random(): number {
    return this.#random.next() / 2 ** 32;
  }

  soon(callback: () => void): void {
    this.#soon.push(callback);
  }

  /** Promises settle between steps, see `runAsync`. */
  settled(callback: () => void): void {
    this.#soon.push(callback);
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const at = this.#now + Math.max(delayMs, 0);
    const call: ScheduledCall = { timer: undefined, at, order: this.#order++, run: callback };
    this.#calls.push(call);
    return call;
  }

  clearTimer(timer: Timer): void {
    (timer as ScheduledCall).run = undefined;
  }

  /**
   * Makes time pass until `done` says so, or nothing is left to do, or `limitMs` of virtual time have gone by; tells
   * whether `done` said so. Promises make no progress meanwhile: see `runAsync`.
   */
  run(done: () => boolean, limitMs = 3_600_000): boolean {
    const end = this.#now + limitMs;
    while (!done()) {
      if (!this.#step(end)) {
        return done();
      }
    }
    return true;
  }

  /** Makes `durationMs` pass. */
  runFor(durationMs: number): void {
    const end = this.#now + durationMs;
    this.run(() => false, durationMs);
    this.#now = Math.max(this.#now, end);
  }

  /** As `run`, and lets promises settle between one moment and the next. */
  async runAsync(done: () => boolean, limitMs = 3_600_000): Promise<boolean> {
    const end = this.#now + limitMs;
    await settled();
    while (!done()) {
      if (!this.#step(end)) {
        return done();
      }
      await settled();
    }
    return true;
  }

  /**
   * Lives through one moment: what is due, then what wanted to run after it. Moves on to the next moment where nothing is
   * left of this one. False: there is none up to `end`.
   */
  #step(end: number): boolean {
    const next = this.#calls.peek();
    if (this.#soon.length === 0 && (next === undefined || next.at > this.#now)) {
      if (next === undefined || next.at > end) {
        this.#now = next === undefined ? this.#now : end;
        return false;
      }
      this.#moveTo(next.at);
    }
    for (let call = this.#calls.peek(); call !== undefined && call.at <= this.#now; ) {
      this.#calls.pop();
      this.#count();
      call.run?.();
      call = this.#calls.peek();
    }
    const callbacks = this.#soon;
    this.#soon = [];
    for (const callback of callbacks) {
      this.#count();
      callback();
    }
    return true;
  }

  #moveTo(moment: number): void {
    this.#now = moment;
    this.#callbacks = 0;
  }

  #count(): void {
    this.#callbacks += 1;
    if (this.#callbacks > maxCallbacksPerMoment) {
      throw new Error(`virtual time stands still at ${this.#now} ms`);
    }
  }
}

/** All reactions to promises that are settled have run, and those that they caused. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** SplitMix32: good enough for dice, and the same everywhere. */
class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 32 bits. */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let value = this.#state;
    value = Math.imul(value ^ (value >>> 16), 0x21f0aaad);
    value = Math.imul(value ^ (value >>> 15), 0x735a2d97);
    return (value ^ (value >>> 15)) >>> 0;
  }
}

/** A binary heap: earliest first, and among equals the one that was set first. */
class CallQueue {
  readonly #heap: ScheduledCall[] = [];

  /** The next call that was not cleared. */
  peek(): ScheduledCall | undefined {
    while (this.#heap[0] !== undefined && this.#heap[0].run === undefined) {
      this.pop();
    }
    return this.#heap[0];
  }

  push(call: ScheduledCall): void {
    const heap = this.#heap;
    let index = heap.push(call) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBefore(call, parent)) {
        break;
      }
      heap[index] = parent;
      index = above;
    }
    heap[index] = call;
  }

  pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) {
      return;
    }
    let index = 0;
    for (;;) {
      let below = 2 * index + 1;
      const right = heap[below + 1];
      const left = heap[below];
      if (left === undefined) {
        break;
      }
      let least = left;
      if (right !== undefined && isBefore(right, left)) {
        least = right;
        below += 1;
      }
      if (!isBefore(least, last)) {
        break;
      }
      heap[index] = least;
      index = below;
    }
    heap[index] = last;
  }
}

function isBefore(a: ScheduledCall, b: ScheduledCall): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
