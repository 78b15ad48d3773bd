import { Code, ConnectError } from "@connectrpc/connect";
import { deferred } from "../base/deferred.ts";
import { onAbort } from "../base/on-abort.ts";
import type { CallParts } from "./call-parts.ts";
import { leaseLost, renewed } from "./lease-outcome.ts";
import { watchLease } from "./lease-watch.ts";
import type { LeaseKey } from "./rendezvous-state.ts";

type HoldEnd = "caller" | "closing" | "newer" | "stale" | "unknown" | "replaced";

/** Calls that hold a registration, one for each lease. */
export class HoldCalls {
  readonly #parts: CallParts;
  readonly #newer = new Map<string, () => void>();

  constructor(parts: CallParts) {
    this.#parts = parts;
  }

  get total(): number {
    return this.#newer.size;
  }

  async *open(lease: LeaseKey, signal: AbortSignal): AsyncGenerator<{ closing: boolean }> {
    const { state, limits, closing, report } = this.#parts;
    const { version } = renewed(await state.renew(lease));
    const ended = deferred<HoldEnd>();
    const watched = await watchLease(state, lease, version, ended.resolve);
    this.#newer.get(lease.lease)?.();
    const giveWay = (): void => ended.resolve("newer");
    this.#newer.set(lease.lease, giveWay);
    const listeners = [
      onAbort(signal, () => ended.resolve("caller")),
      onAbort(closing, () => ended.resolve("closing")),
    ];
    let end: HoldEnd = "caller";
    try {
      yield { closing: false };
      end = signal.aborted ? "caller" : closing.aborted ? "closing" : await ended.promise;
      if (end === "closing" || end === "stale") {
        yield { closing: true };
      } else if (end === "newer") {
        throw new ConnectError("a newer call holds this registration", Code.Aborted);
      } else if (end !== "caller") {
        throw leaseLost(end);
      }
    } finally {
      for (const stop of [...listeners, watched]) {
        stop();
      }
      if (this.#newer.get(lease.lease) === giveWay) {
        this.#newer.delete(lease.lease);
        if (end === "caller") {
          await state.release(lease, limits.graceMs).catch(report);
        }
      }
    }
  }
}
