import { randomFillSync } from "node:crypto";
import type { Platform, Timer } from "./platform.ts";

interface NodeTimer extends Timer {
  timer: NodeJS.Timeout | undefined;
}

/** Node.js takes any longer delay for 1 ms. About 25 days. */
const maxDelayMs = 2 ** 31 - 1;

/** The real world, as Node.js gives it. */
export const nodePlatform: Platform = {
  now: () => performance.now(),
  unixMs: () => Date.now(),
  randomFill: (into) => {
    randomFillSync(into);
  },
  soon: (callback) => {
    setImmediate(callback);
  },
  settled: (callback) => {
    // Node.js runs all ticks, then all microtasks, and then what they have put among the ticks.
    queueMicrotask(() => process.nextTick(callback));
  },
  setTimer: (delayMs, callback): NodeTimer => {
    const running: NodeTimer = { timer: undefined };
    const wait = (leftMs: number): void => {
      const stepMs = Math.min(leftMs, maxDelayMs);
      running.timer = setTimeout(
        () => (stepMs < leftMs ? wait(leftMs - stepMs) : callback()),
        // Node.js cuts fractions off, and whoever is woken too early has to wait again.
        Math.ceil(stepMs),
      );
      running.timer.unref();
    };
    wait(delayMs);
    return running;
  },
  clearTimer: (timer) => {
    clearTimeout((timer as NodeTimer).timer);
  },
};
