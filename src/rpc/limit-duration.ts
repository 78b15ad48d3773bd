import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Platform, Timer } from "../base/platform.ts";
import { callScopeKey } from "./call-scope.ts";
import { wrapIterable } from "./wrap-iterable.ts";

/**
 * Ends handlers that take longer than `limitMs` with DeadlineExceeded, also those that ignore their signal: what such a
 * handler does afterwards goes nowhere. It counts as running until it ends by itself.
 */
export function limitDuration(limitMs: number, platform: Platform): Interceptor {
  return (next) => async (request) => {
    const scope = request.contextValues.get(callScopeKey);
    const limit = new DurationLimit(limitMs, platform, (work) => scope?.outlives(work));
    try {
      const response = await limit.race(next(request));
      if (!response.stream) {
        limit.stop();
        return response;
      }
      const message = wrapIterable(
        response.message,
        async (messages) => {
          try {
            const result = await limit.race(messages.next());
            if (result.done === true) {
              limit.stop();
            }
            return result;
          } catch (error) {
            limit.stop();
            // It may still be busy; it ends where it yields next.
            void messages.return?.().catch(() => {});
            throw error;
          }
        },
        // The caller is gone.
        () => limit.stop(),
      );
      return { ...response, message };
    } catch (error) {
      limit.stop();
      throw error;
    }
  };
}

/** Not made of `Promise.race`: that would pile up reactions on a promise that lives as long as the call. */
class DurationLimit {
  readonly #platform: Platform;
  readonly #timer: Timer;
  #expired: ConnectError | undefined;
  #reject: ((error: ConnectError) => void) | undefined;
  #work: Promise<unknown> | undefined;

  /** @param onExpired gets what is still running when the time is up */
  constructor(limitMs: number, platform: Platform, onExpired: (work: Promise<unknown>) => void) {
    this.#platform = platform;
    this.#timer = platform.setTimer(limitMs, () => {
      this.#expired = new ConnectError(
        `the handler took longer than ${limitMs} ms`,
        Code.DeadlineExceeded,
      );
      if (this.#work !== undefined) {
        onExpired(this.#work);
      }
      this.#reject?.(this.#expired);
    });
  }

  /** The outcome of `work`, or the rejection of the limit if that comes first. One at a time. */
  race<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#expired !== undefined) {
        reject(this.#expired);
      }
      this.#reject = reject;
      this.#work = work;
      work.then(resolve, reject);
    });
  }

  stop(): void {
    this.#platform.clearTimer(this.#timer);
  }
}
