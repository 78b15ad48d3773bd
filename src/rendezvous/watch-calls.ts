import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { decodeHex } from "../base/hex.ts";
import { CallCounts } from "./call-counts.ts";
import type { CallParts } from "./call-parts.ts";
import {
  type Change,
  ChangeSchema,
  type WatchResponse,
  WatchResponseSchema,
} from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { peerMessage } from "./peer-message.ts";
import type { PeerSelector } from "./peer-selector.ts";
import type { PeerSet, SeenChange } from "./peer-set.ts";
import { readResumePoint, writeResumePoint } from "./resume-point.ts";

export interface WatchRequested {
  readonly namespace: string;
  readonly selector: PeerSelector;
  /** Who counts as one caller. */
  readonly caller: string;
  readonly resume: Uint8Array;
}

/** Calls that watch. Each reads the changes of the set at its own pace; what it has missed does not wait anywhere. */
export class WatchCalls {
  readonly #parts: CallParts;
  readonly #counts: CallCounts;

  constructor(parts: CallParts) {
    this.#parts = parts;
    const { maxWatches: total, maxWatchesPerCaller: perCaller } = parts.limits;
    this.#counts = new CallCounts("watch", { total, perCaller });
  }

  get total(): number {
    return this.#counts.total;
  }

  async *open(
    { namespace, selector, caller, resume }: WatchRequested,
    { signal }: { readonly signal: AbortSignal },
  ): AsyncGenerator<WatchResponse> {
    const { state, metrics, closing } = this.#parts;
    const leave = this.#counts.enter(caller);
    let release = (): void => {};
    try {
      const set = await state.openSet(namespace);
      if (set === undefined) {
        throw new ConnectError("there are too many namespaces", Code.ResourceExhausted);
      }
      release = set.retain();
      const ended = AbortSignal.any([signal, closing]);
      for await (const response of this.#follow(set, selector, resume, ended)) {
        metrics.changesSent += response.changes.length;
        yield response;
      }
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      throw closing.aborted ? new ConnectError("this place is closing", Code.Unavailable) : error;
    } finally {
      release();
      leave();
    }
  }

  async *#follow(
    set: PeerSet,
    selector: PeerSelector,
    resume: Uint8Array,
    signal: AbortSignal,
  ): AsyncGenerator<WatchResponse> {
    const limit = this.#parts.limits.maxPageSize;
    let version = readResumePoint(resume, set.epoch);
    let isComplete = false;
    for (;;) {
      signal.throwIfAborted();
      if (!set.isCurrent) {
        throw new ConnectError("the state was lost for a while: watch again", Code.Aborted);
      }
      const since =
        version === undefined
          ? ({ type: "too-old" } as const)
          : set.changesSince(version, selector, limit);
      if (since.type === "too-old") {
        version = set.version;
        yield* wholeSet(set, selector, version, limit);
        isComplete = true;
        continue;
      }
      version = since.version;
      const reached = version === set.version;
      if (since.changes.length > 0 || (reached && !isComplete)) {
        isComplete = reached;
        yield create(WatchResponseSchema, {
          changes: since.changes.map(changeOf),
          complete: reached,
          resume: writeResumePoint(set.epoch, version),
        });
      } else if (reached) {
        await set.changed.wait({ signal });
      }
    }
  }
}

/** The set as it was in this version, but for what has changed meanwhile, which follows as changes. */
function* wholeSet(
  set: PeerSet,
  selector: PeerSelector,
  upTo: number,
  limit: number,
): Generator<WatchResponse> {
  let after: number | undefined = 0;
  for (let reset = true; after !== undefined; reset = false) {
    const { entries, next } = set.page(selector, { after, limit, upTo });
    after = next;
    yield create(WatchResponseSchema, {
      reset,
      changes: entries.map((entry) => changeOf({ type: "put", entry })),
      complete: next === undefined,
      resume: next === undefined ? writeResumePoint(set.epoch, upTo) : new Uint8Array(),
    });
  }
}

function changeOf(change: SeenChange): Change {
  return create(ChangeSchema, {
    change:
      change.type === "put"
        ? { case: "put", value: peerMessage(change.entry) }
        : { case: "gone", value: decodeHex(change.id) },
  });
}
