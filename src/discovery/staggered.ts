import { onAbort } from "../base/on-abort.ts";
import type { Platform } from "../base/platform.ts";

export interface StaggeredOptions {
  readonly platform: Platform;
  /** When each attempt begins, from the start; each is moved by up to a fifth at random. Milliseconds, rising. */
  readonly delaysMs: readonly number[];
  readonly signal: AbortSignal;
}

/**
 * Tries the same several times, without waiting for earlier attempts: over a network that loses packets one of them gets
 * through. The first success counts and ends the others. Rejects with the error of the last when all have failed, and with
 * the signal's reason.
 */
export async function staggered<T>(
  attempt: (signal: AbortSignal) => Promise<T>,
  { platform, delaysMs, signal }: StaggeredOptions,
): Promise<T> {
  signal.throwIfAborted();
  const over = new AbortController();
  const timers: ReturnType<Platform["setTimer"]>[] = [];
  const stopListening = onAbort(signal, () => over.abort(signal.reason));
  try {
    return await new Promise<T>((resolve, reject) => {
      onAbort(over.signal, () => reject(over.signal.reason));
      let left = delaysMs.length;
      const failed = (error: unknown): void => {
        left -= 1;
        if (left === 0) {
          reject(error);
        }
      };
      const start = (): void => {
        attempt(over.signal).then(resolve, failed);
      };
      for (const delayMs of delaysMs) {
        timers.push(platform.setTimer(delayMs * jitter(platform), start));
      }
    });
  } finally {
    stopListening();
    for (const timer of timers) {
      platform.clearTimer(timer);
    }
    over.abort();
  }
}

/** From 0.8 to 1.2. */
function jitter(platform: Platform): number {
  const dice = new Uint8Array(1);
  platform.randomFill(dice);
  return 0.8 + (0.4 * (dice[0] ?? 0)) / 255;
}
