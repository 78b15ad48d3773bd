import { onAbort } from "../base/on-abort.ts";

/** What comes of `promise`, or a rejection with the signal's reason when that fires first; then the former is ignored. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stopListening = onAbort(signal, () => reject(signal.reason));
    promise.then(resolve, reject).finally(stopListening);
    if (signal.aborted) {
      reject(signal.reason);
    }
  });
}
