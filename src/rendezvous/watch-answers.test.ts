import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { EndpointAddr } from "../identity/endpoint-addr.ts";
import { SecretKey } from "../identity/secret-key.ts";
import {
  type WatchResponse,
  WatchResponseSchema,
} from "./gen/connectquic/rendezvous/v1/rendezvous_pb.ts";
import { type PeerSelector, selectorKey } from "./peer-selector.ts";
import { PeerSet } from "./peer-set.ts";
import { KnownPeers } from "./peer-watch.ts";
import { type PeerRecord, signRegistration } from "./registration.ts";
import { WatchAnswers, type Watched } from "./watch-answers.ts";

/** Registrations of each peer, with one service and the other. */
const records: readonly (readonly PeerRecord[])[] = Array.from({ length: 6 }, () => {
  const key = SecretKey.generate();
  return ["a.A", "b.B"].map((service, date) =>
    signRegistration(key, {
      addr: new EndpointAddr(key.publicKey),
      namespace: "",
      audience: "",
      signedUs: BigInt(date),
      services: [service],
      labels: {},
    }),
  );
});

function apply(set: PeerSet, peer: number, says: number | undefined): void {
  const record = records[peer]?.[says ?? 0];
  assert.ok(record, "there is one");
  const id = record.id.toString();
  const before = set.get(id);
  if (says !== undefined) {
    const joined = before?.joined ?? set.version + 1;
    set.apply(id, { record, lease: "", registeredAtMs: 0, joined });
  } else if (before !== undefined) {
    set.apply(id, undefined);
  }
}

function watchedOf(set: PeerSet, service: string | undefined): Watched {
  const selector: PeerSelector = { service, labels: [], ids: undefined };
  return { set, selector, key: selectorKey(selector) };
}

/** A watcher that takes one response when it is asked to, as one of a slow connection does. */
class Watcher {
  readonly #watched: Watched;
  readonly #answers: WatchAnswers;
  readonly #known = new KnownPeers("");
  readonly peers = new Map<string, string>();
  #pages: ReturnType<WatchAnswers["whole"]> | undefined;
  #version: number | undefined;
  isComplete = false;

  constructor(answers: WatchAnswers, watched: Watched) {
    this.#answers = answers;
    this.#watched = watched;
  }

  /** The response that it gets; undefined when there is nothing new. */
  step(): WatchResponse | undefined {
    if (this.#pages !== undefined) {
      const { value, done } = this.#pages.next();
      if (done !== true) {
        this.#version = value.version;
        return this.#take(value.response);
      }
      this.#pages = undefined;
    }
    const since =
      this.#version === undefined
        ? ({ type: "too-old" } as const)
        : this.#answers.since(this.#watched, this.#version);
    if (since.type === "too-old") {
      this.#pages = this.#answers.whole(this.#watched);
      return this.step();
    }
    const before = this.#version;
    this.#version = since.version;
    if (since.response === undefined && since.version !== before) {
      return this.step();
    }
    if (since.response === undefined && !this.isComplete) {
      return this.#take(create(WatchResponseSchema, { complete: true }));
    }
    return since.response && this.#take(since.response);
  }

  #take(response: WatchResponse): WatchResponse {
    this.isComplete = response.complete;
    for (const change of this.#known.take(response)) {
      if (change.type === "put") {
        this.peers.set(change.peer.id.toString(), String(change.peer.services));
      } else if (change.type === "gone") {
        this.peers.delete(change.id.toString());
      }
    }
    return response;
  }
}

test("watchers of any pace and beginning end with the set that there is, and a complete response is true", () => {
  const steps = fc.array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.record({
          peer: fc.nat({ max: records.length - 1 }),
          says: fc.option(fc.nat({ max: 1 }), { nil: undefined }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ comes: fc.constantFrom(undefined, "a.A") }) },
      { weight: 4, arbitrary: fc.record({ step: fc.nat() }) },
    ),
    { maxLength: 80, size: "max" },
  );
  fc.assert(
    fc.property(
      steps,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1, max: 6 }),
      (all, limit, maxChanges) => {
        const set = new PeerSet({ maxChanges, epoch: "e" });
        const answers = new WatchAnswers(limit);
        const watchers: [Watcher, string | undefined][] = [];
        const expect = (watcher: Watcher, service: string | undefined): void => {
          const there = set.entries
            .filter(({ record }) => service === undefined || record.services.includes(service))
            .map(({ record }) => [record.id.toString(), String(record.services)] as const);
          assert.deepEqual([...watcher.peers].sort(), there.sort());
        };
        for (const step of all) {
          if ("peer" in step) {
            apply(set, step.peer, step.says);
          } else if ("comes" in step) {
            watchers.push([new Watcher(answers, watchedOf(set, step.comes)), step.comes]);
          } else {
            const [watcher, service] = watchers[step.step % (watchers.length || 1)] ?? [];
            if (watcher?.step()?.complete === true) {
              expect(watcher, service);
            }
          }
        }
        for (const [watcher, service] of watchers) {
          let most = 1_000;
          while (watcher.step() !== undefined && most > 0) {
            most -= 1;
          }
          assert.ok(most > 0, "it comes to an end");
          expect(watcher, service);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("watchers with the same selector get the same messages, those who come a little later as well", () => {
  const set = new PeerSet({ maxChanges: 100, epoch: "e" });
  const answers = new WatchAnswers(2);
  const last = records.length - 1;
  for (let peer = 0; peer < last; peer += 1) {
    apply(set, peer, 0);
  }
  const [one, other] = [0, 1].map(() => [...answers.whole(watchedOf(set, "a.A"))]);
  assert.equal(one?.length, 3);
  assert.deepEqual(
    one?.map(({ response }) => response.complete),
    [false, false, true],
  );
  for (const [at, page] of (one ?? []).entries()) {
    assert.equal(page.response, other?.[at]?.response);
  }
  apply(set, last, 0);
  const third = [...answers.whole(watchedOf(set, "a.A"))];
  assert.equal(third.at(-1)?.response.complete, false, "what follows makes it complete");
  const version = third.at(-1)?.version ?? 0;
  assert.equal(version, last);
  const since = answers.since(watchedOf(set, "a.A"), version);
  assert.ok(since.type === "answer" && since.response?.complete === true, "what has changed");
  const again = answers.since(watchedOf(set, "a.A"), version);
  assert.ok(again.type === "answer" && again.response === since.response, "the same");
  apply(set, 0, undefined);
  const late = [...answers.whole(watchedOf(set, "a.A"))];
  assert.equal(late.at(-1)?.response.complete, true, "nobody is told of who had gone");
});
