import { onAbort } from "./on-abort.ts";
import type { Platform } from "./platform.ts";

/** Resolves `delayMs` from now. Rejects with the reason of the first signal that fires. */
export async function pause(
  platform: Platform,
  delayMs: number,
  ...signals: readonly AbortSignal[]
): Promise<void> {
  for (const signal of signals) {
    signal.throwIfAborted();
  }
  await new Promise<void>((resolve, reject) => {
    const timer = platform.setTimer(delayMs, () => {
      stopListening();
      resolve();
    });
    const listeners = signals.map((signal) =>
      onAbort(signal, () => {
        platform.clearTimer(timer);
        stopListening();
        reject(signal.reason);
      }),
    );
    const stopListening = (): void => {
      for (const stop of listeners) {
        stop();
      }
    };
  });
}
