import { ByteReader } from "../base/byte-reader.ts";
import type { Platform, Timer } from "../base/platform.ts";

export interface RecheckScheduleOptions {
  readonly platform: Platform;
  /**
   * Does a check, a `full` one or a quick one. `signal` fires when its outcome is of no use any more. A rejection counts as
   * an end like any other.
   */
  readonly check: (options: {
    readonly full: boolean;
    readonly signal: AbortSignal;
  }) => Promise<void>;
  /** A check is over, and was not replaced by another. */
  readonly checked: (check: FinishedCheck) => void;
}

export interface FinishedCheck {
  /** Monotonic milliseconds. */
  readonly startedAt: number;
  readonly full: boolean;
}

/** Between the end of a check and the next, and what comes on top of it by chance. As iroh has it: 20 to 26 s. */
const intervalMs = 20_000;
const jitterMs = 6_000;
/** From one full check to the next. */
const fullIntervalMs = 300_000;
/** From the beginning of a check to the next, however often one is asked for. */
const minGapMs = 1_000;
/** A check that takes longer is over, whatever it still waits for. */
const checkTimeoutMs = 5_000;

type State = { readonly type: "stopped" } | Waiting | Checking;

interface Waiting {
  readonly type: "waiting";
  readonly timer: Timer;
  readonly full: boolean;
}

interface Checking {
  readonly type: "checking";
  readonly timeout: Timer;
  readonly abort: AbortController;
  readonly full: boolean;
  /** A quick check was asked for meanwhile. */
  again: boolean;
}

/** When to look at the network again: at intervals that differ a little, and when something has changed. */
export class RecheckSchedule {
  readonly #options: RecheckScheduleOptions;
  readonly #platform: Platform;
  #state: State = { type: "stopped" };
  #lastStart = Number.NEGATIVE_INFINITY;
  #lastFull = Number.NEGATIVE_INFINITY;

  constructor(options: RecheckScheduleOptions) {
    this.#options = options;
    this.#platform = options.platform;
  }

  /** Begins with a full check. Idempotent. */
  start(): void {
    if (this.#state.type === "stopped") {
      this.#wait({ delayMs: 0, full: true });
    }
  }

  /** Ends a check that is under way, and forgets all timers. Idempotent. */
  stop(): void {
    this.#enter({ type: "stopped" });
  }

  /** Checks as soon as may be. A full check replaces one that is under way; a quick one waits for its end. */
  hurry({ full }: { readonly full: boolean }): void {
    const state = this.#state;
    if (state.type === "waiting" || (state.type === "checking" && full)) {
      const delayMs = Math.max(0, this.#lastStart + minGapMs - this.#platform.now());
      this.#wait({ delayMs, full: full || state.full });
    } else if (state.type === "checking") {
      state.again = true;
    }
  }

  #wait({ delayMs, full }: { readonly delayMs: number; readonly full: boolean }): void {
    const timer = this.#platform.setTimer(delayMs, () => this.#begin(full));
    this.#enter({ type: "waiting", timer, full });
  }

  #begin(asked: boolean): void {
    const startedAt = this.#platform.now();
    const full = asked || startedAt - this.#lastFull >= fullIntervalMs;
    const abort = new AbortController();
    const finish = (): void => {
      if (this.#state === checking) {
        const delayMs = checking.again ? minGapMs : intervalMs + this.#jitter();
        this.#wait({ delayMs, full: false });
        this.#options.checked({ startedAt, full });
      }
    };
    const timeout = this.#platform.setTimer(checkTimeoutMs, finish);
    const checking: Checking = { type: "checking", timeout, abort, full, again: false };
    this.#lastStart = startedAt;
    this.#lastFull = full ? startedAt : this.#lastFull;
    this.#enter(checking);
    void this.#run({ full, signal: abort.signal }).then(finish);
  }

  /** Never rejects. */
  async #run(options: { readonly full: boolean; readonly signal: AbortSignal }): Promise<void> {
    try {
      await this.#options.check(options);
    } catch {
      // What could not be asked now is asked again with the next check.
    }
  }

  #enter(next: State): void {
    const state = this.#state;
    this.#state = next;
    if (state.type === "waiting") {
      this.#platform.clearTimer(state.timer);
    } else if (state.type === "checking") {
      this.#platform.clearTimer(state.timeout);
      state.abort.abort(new Error("the check is over"));
    }
  }

  #jitter(): number {
    const bytes = new Uint8Array(2);
    this.#platform.randomFill(bytes);
    return (new ByteReader(bytes).u16() / 0x1_0000) * jitterMs;
  }
}
