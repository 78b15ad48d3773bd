import type { Platform, Timer } from "../base/platform.ts";
import { isLinkLocal } from "./local-addresses.ts";
import type { InterfaceAddress } from "./network.ts";

/** What {@link InterfaceWatch} has noticed. */
export interface InterfaceChange {
  /**
   * True when what was in use may be gone: the host has lost an address, has got its first, or has slept, so that NATs have
   * forgotten it. False when it has only got another address.
   */
  readonly major: boolean;
  /** For how long the host has slept, milliseconds; a date that is set forward looks the same. Missing where it has not. */
  readonly sleptMs?: number;
}

export interface InterfaceWatchOptions {
  readonly platform: Platform;
  /** {@link Network.interfaces}. */
  readonly interfaces: () => readonly InterfaceAddress[];
  readonly changed: (change: InterfaceChange) => void;
  /** Between one look and the next. Milliseconds, default 2000: reading the interfaces takes some 0.1 ms. */
  readonly intervalMs?: number;
}

const defaultIntervalMs = 2_000;
/** How much later than it was set for a timer may fire, and by how much the two clocks may disagree, without sleep. */
export const sleepGapMs = 5_000;

/**
 * Notices that the addresses of this host change, and that it has slept, by looking at intervals: Node.js has no events
 * for either. Link-local addresses do not count.
 *
 * A sleep shows in one of two ways: the date has advanced and the monotonic clock has not (Linux), or both have and the
 * timer comes late (macOS, Windows, a process that was stopped). A date that is set forward looks the same and costs a
 * check. Not noticed: another network that gives the host the same address within one interval.
 */
export class InterfaceWatch {
  readonly #platform: Platform;
  readonly #interfaces: () => readonly InterfaceAddress[];
  readonly #changed: (change: InterfaceChange) => void;
  readonly #intervalMs: number;
  #addresses: ReadonlySet<string>;
  #lookedAt: { readonly now: number; readonly unixMs: number };
  #timer: Timer | undefined;

  /** Takes the state of now as what later ones are compared with. */
  constructor(options: InterfaceWatchOptions) {
    this.#platform = options.platform;
    this.#interfaces = options.interfaces;
    this.#changed = options.changed;
    this.#intervalMs = options.intervalMs ?? defaultIntervalMs;
    this.#addresses = this.#read();
    this.#lookedAt = this.#clocks();
  }

  /** Looks now, and then at intervals until {@link stop}. Idempotent. */
  start(): void {
    if (this.#timer === undefined) {
      this.#schedule();
      this.check();
    }
  }

  /** Looks no more. What changes meanwhile is noticed at the next start. Idempotent. */
  stop(): void {
    if (this.#timer !== undefined) {
      this.#platform.clearTimer(this.#timer);
      this.#timer = undefined;
    }
  }

  /** Looks now, as when something else points to a change. */
  check(): void {
    this.#look({ lateMs: 0 });
  }

  #look({ lateMs }: { readonly lateMs: number }): void {
    const before = this.#addresses;
    this.#addresses = this.#read();
    const gained = [...this.#addresses].some((address) => !before.has(address));
    const lost = [...before].some((address) => !this.#addresses.has(address));
    const sleptMs = Math.max(this.#clockGapMs(), lateMs);
    const slept = sleptMs > sleepGapMs;
    if (gained || lost || slept) {
      const major = lost || slept || before.size === 0;
      this.#changed(slept ? { major, sleptMs } : { major });
    }
  }

  #clockGapMs(): number {
    const before = this.#lookedAt;
    this.#lookedAt = this.#clocks();
    const elapsedMs = this.#lookedAt.now - before.now;
    return this.#lookedAt.unixMs - before.unixMs - elapsedMs;
  }

  #clocks(): { now: number; unixMs: number } {
    return { now: this.#platform.now(), unixMs: this.#platform.unixMs() };
  }

  #read(): ReadonlySet<string> {
    return new Set(
      this.#interfaces()
        .filter(({ host, internal }) => !internal && !isLinkLocal(host))
        .map(({ interfaceName, host }) => `${interfaceName} ${host}`),
    );
  }

  #schedule(): void {
    const due = this.#platform.now() + this.#intervalMs;
    this.#timer = this.#platform.setTimer(this.#intervalMs, () => {
      this.#schedule();
      this.#look({ lateMs: this.#platform.now() - due });
    });
  }
}
