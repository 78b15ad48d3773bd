import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { onAbort } from "../base/on-abort.ts";
import { CallCounts } from "./call-counts.ts";
import type { CallParts } from "./call-parts.ts";
import { FanOut } from "./fan-out.ts";
import {
  type WatchResponse,
  WatchResponseSchema,
} from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { type PeerSelector, selectorKey } from "./peer-selector.ts";
import type { PeerSet } from "./peer-set.ts";
import { readResumePoint, writeResumePoint } from "./resume-point.ts";
import { WatchAnswers, type Watched } from "./watch-answers.ts";

export interface WatchRequested {
  readonly namespace: string;
  readonly selector: PeerSelector;
  /** Who counts as one caller. */
  readonly caller: string;
  readonly resume: Uint8Array;
}

/** The rounds in which the watchers of a set are told. */
interface Rounds {
  readonly fanOut: FanOut;
  readonly stop: () => void;
  watchers: number;
}

/** Calls that watch. Each reads the changes of the set at its own pace; what it has missed does not wait anywhere. */
export class WatchCalls {
  readonly #parts: CallParts;
  readonly #counts: CallCounts;
  readonly #answers: WatchAnswers;
  readonly #rounds = new Map<PeerSet, Rounds>();

  constructor(parts: CallParts) {
    this.#parts = parts;
    const { maxWatches: total, maxWatchesPerCaller: perCaller, maxPageSize } = parts.limits;
    this.#counts = new CallCounts("watch", { total, perCaller });
    this.#answers = new WatchAnswers(maxPageSize);
  }

  get total(): number {
    return this.#counts.total;
  }

  async *open(
    { namespace, selector, caller, resume }: WatchRequested,
    { signal }: { readonly signal: AbortSignal },
  ): AsyncGenerator<WatchResponse> {
    const { state, metrics } = this.#parts;
    const leaving = [this.#counts.enter(caller)];
    try {
      const set = await state.openSet(namespace);
      if (set === undefined) {
        throw new ConnectError("there are too many namespaces", Code.ResourceExhausted);
      }
      leaving.push(set.retain());
      const watched = { set, selector, key: selectorKey(selector) };
      for await (const response of this.#follow(watched, resume, signal)) {
        metrics.changesSent += response.changes.length;
        yield response;
      }
    } finally {
      for (const leave of leaving) {
        leave();
      }
    }
  }

  async *#follow(
    watched: Watched,
    resume: Uint8Array,
    signal: AbortSignal,
  ): AsyncGenerator<WatchResponse> {
    const { set } = watched;
    const { closing } = this.#parts;
    const { fanOut, leave } = this.#enter(set);
    let wake = (): void => {};
    const listeners = [signal, closing].map((each) => onAbort(each, () => wake()));
    let version = readResumePoint(resume, set.epoch);
    let isComplete = false;
    try {
      while (!signal.aborted) {
        if (closing.aborted) {
          throw new ConnectError("this place is closing", Code.Unavailable);
        }
        if (!set.isCurrent) {
          throw new ConnectError("the state was lost for a while: watch again", Code.Aborted);
        }
        const since =
          version === undefined
            ? ({ type: "too-old" } as const)
            : this.#answers.since(watched, version);
        if (since.type === "too-old") {
          for (const page of this.#answers.whole(watched)) {
            ({ version } = page);
            isComplete = page.response.complete;
            yield page.response;
          }
          continue;
        }
        ({ version } = since);
        const isReached = version === set.version;
        if (since.response !== undefined) {
          isComplete = since.response.complete;
          yield since.response;
        } else if (isReached && !isComplete) {
          isComplete = true;
          const resume = writeResumePoint(set.epoch, version);
          yield create(WatchResponseSchema, { complete: true, resume });
        }
        // What has happened during a yield has woken nobody.
        if (isComplete && set.isCurrent && !closing.aborted && !signal.aborted) {
          const known = version;
          await new Promise<void>((resolve) => {
            const stop = fanOut.wait(resolve, known !== set.version);
            wake = () => {
              stop();
              resolve();
            };
          });
        }
      }
    } finally {
      for (const stop of [...listeners, leave]) {
        stop();
      }
    }
  }

  #enter(set: PeerSet): { readonly fanOut: FanOut; readonly leave: () => void } {
    let rounds = this.#rounds.get(set);
    if (rounds === undefined) {
      const { platform, limits } = this.#parts;
      const fanOut = new FanOut(platform, {
        messagesPerSecond: limits.watchMessagesPerSecond,
        watchers: () => this.#counts.total,
      });
      rounds = { fanOut, stop: set.onChange(() => fanOut.changed()), watchers: 0 };
      this.#rounds.set(set, rounds);
    }
    const entered = rounds;
    entered.watchers += 1;
    const leave = (): void => {
      entered.watchers -= 1;
      if (entered.watchers === 0) {
        entered.stop();
        entered.fanOut.close();
        this.#rounds.delete(set);
      }
    };
    return { fanOut: entered.fanOut, leave };
  }
}
