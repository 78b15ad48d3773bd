import { create } from "@bufbuild/protobuf";
import { decodeHex } from "../base/hex.ts";
import { shareMessage } from "../rpc/shared-message.ts";
import {
  type Change,
  ChangeSchema,
  type WatchResponse,
  WatchResponseSchema,
} from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { peerMessage } from "./peer-message.ts";
import type { PeerSelector } from "./peer-selector.ts";
import type { PeerSet, SeenChange } from "./peer-set.ts";
import { writeResumePoint } from "./resume-point.ts";

/** What is kept of answers for other watchers. Bytes, about. */
const maxKeptBytes = 32 << 20;

export type WatchAnswer =
  | {
      readonly type: "answer";
      /** Undefined where nothing that fits has changed. */
      readonly response: WatchResponse | undefined;
      /** Of the set, which the response leads to. */
      readonly version: number;
    }
  /** What has changed since is no longer known. */
  | { readonly type: "too-old" };

/** What is watched. */
export interface Watched {
  readonly set: PeerSet;
  readonly selector: PeerSelector;
  /** The same for selectors that say the same; undefined for one that is hardly said by two. */
  readonly key: string | undefined;
}

interface Kept {
  readonly answer: WatchAnswer & { readonly type: "answer" };
  readonly next: number | undefined;
  readonly bytes: number;
}

/**
 * What watchers are told. Those with the same selector at the same point get the same message, which is made and encoded
 * once.
 */
export class WatchAnswers {
  readonly #limit: number;
  /** Used last at the end. */
  readonly #kept = new Map<string, Kept>();
  #keptBytes = 0;
  /** Where a set was last told from its beginning, by selector. */
  readonly #beginnings = new WeakMap<PeerSet, Map<string, number>>();

  /** @param limit changes in one message */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** What has changed since this version. */
  since(watched: Watched, version: number): WatchAnswer {
    const { set, selector } = watched;
    const name = nameOf(watched, `${version}-${set.version}`);
    const kept = this.#find(name);
    if (kept !== undefined) {
      return kept.answer;
    }
    const since = set.changesSince(version, selector, this.#limit);
    if (since.type === "too-old") {
      return since;
    }
    const isComplete = since.version === set.version;
    const response =
      since.changes.length === 0
        ? undefined
        : messageOf(since.changes, {
            complete: isComplete,
            resume: writeResumePoint(set.epoch, since.version),
          });
    const answer = { type: "answer", response, version: since.version } as const;
    this.#keep(name, { answer, next: undefined, bytes: sizeOf(since.changes) });
    return answer;
  }

  /**
   * The whole set as it was in a version, but for what has changed meanwhile: that follows as changes since this version,
   * and the last response is only complete where there are none.
   */
  *whole(
    watched: Watched,
  ): Generator<{ readonly response: WatchResponse; readonly version: number }> {
    const upTo = this.#beginning(watched);
    let after: number | undefined = 0;
    for (let reset = true; after !== undefined; reset = false) {
      const { response, next } = this.#page(watched, { reset, after, upTo });
      after = next;
      yield { response, version: upTo };
    }
  }

  #page(
    watched: Watched,
    {
      reset,
      after,
      upTo,
    }: { readonly reset: boolean; readonly after: number; readonly upTo: number },
  ): { readonly response: WatchResponse; readonly next: number | undefined } {
    const { set, selector } = watched;
    const isNow = upTo === set.version;
    const name = nameOf(watched, `${after}..${upTo}${isNow ? "!" : ""}`);
    const kept = this.#find(name);
    if (kept?.answer.response !== undefined) {
      return { response: kept.answer.response, next: kept.next };
    }
    const { entries, next } = set.page(selector, { after, limit: this.#limit, upTo });
    const changes = entries.map((entry) => ({ type: "put", entry }) as const);
    const response = messageOf(changes, {
      reset,
      complete: next === undefined && isNow,
      resume: next === undefined ? writeResumePoint(set.epoch, upTo) : new Uint8Array(),
    });
    const answer = { type: "answer", response, version: upTo } as const;
    this.#keep(name, { answer, next, bytes: sizeOf(changes) });
    return { response, next };
  }

  /**
   * The version that a watcher begins with: that of the one before, if no more than one message leads on from there, and all
   * that was there still is. So nobody is told of a peer that has gone before.
   */
  #beginning({ set, key }: Watched): number {
    if (key === undefined) {
      return set.version;
    }
    const beginnings = this.#beginnings.get(set) ?? new Map<string, number>();
    this.#beginnings.set(set, beginnings);
    const last = beginnings.get(key);
    if (
      last !== undefined &&
      last >= set.changedAt &&
      set.version - last <= this.#limit &&
      set.knowsSince(last)
    ) {
      return last;
    }
    if (beginnings.size >= maxBeginnings) {
      beginnings.clear();
    }
    beginnings.set(key, set.version);
    return set.version;
  }

  #find(name: string | undefined): Kept | undefined {
    const kept = name === undefined ? undefined : this.#kept.get(name);
    if (name !== undefined && kept !== undefined) {
      this.#kept.delete(name);
      this.#kept.set(name, kept);
    }
    return kept;
  }

  #keep(name: string | undefined, kept: Kept): void {
    if (name === undefined) {
      return;
    }
    this.#kept.set(name, kept);
    this.#keptBytes += kept.bytes;
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#keptBytes <= maxKeptBytes) {
        return;
      }
      this.#kept.delete(oldest);
      this.#keptBytes -= bytes;
    }
  }
}

function nameOf({ set, key }: Watched, what: string): string | undefined {
  return key === undefined ? undefined : `${set.epoch} ${what} ${key}`;
}

function messageOf(
  changes: readonly SeenChange[],
  rest: { readonly reset?: boolean; readonly complete: boolean; readonly resume: Uint8Array },
): WatchResponse {
  return shareMessage(create(WatchResponseSchema, { ...rest, changes: changes.map(changeOf) }));
}

function changeOf(change: SeenChange): Change {
  return create(ChangeSchema, {
    change:
      change.type === "put"
        ? { case: "put", value: peerMessage(change.entry) }
        : { case: "gone", value: decodeHex(change.id) },
  });
}

/** What an answer keeps in memory: its message, that encoded, and what it is found by. */
function sizeOf(changes: readonly SeenChange[]): number {
  return changes.reduce(
    (sum, change) =>
      sum +
      (change.type === "put" ? 500 + 3 * change.entry.record.signed.registration.length : 200),
    2_000,
  );
}

/** Selectors of a set whose beginnings are remembered. */
const maxBeginnings = 1_000;
