import { randomFillSync } from "node:crypto";
import type { Platform, Timer } from "./platform.ts";

interface NodeTimer extends Timer {
  readonly timer: NodeJS.Timeout;
}

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
  setTimer: (delayMs, callback): NodeTimer => {
    const timer = setTimeout(callback, delayMs);
    timer.unref();
    return { timer };
  },
  clearTimer: (timer) => {
    clearTimeout((timer as NodeTimer).timer);
  },
};
