import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { settled } from "../../test/support/manual-platform.ts";
import { followSignal } from "./follow-signal.ts";

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, "abort").length;
}

test("fires with the reason of the source", () => {
  const source = new AbortController();
  const { signal } = followSignal(source.signal);
  assert.equal(signal.aborted, false);
  source.abort("reason");
  assert.equal(signal.reason, "reason");
});

test("is the source itself when that has fired", () => {
  const source = AbortSignal.abort("reason");
  const { signal, release } = followSignal(source);
  assert.equal(signal, source);
  release();
});

test("F27: any number of followers are one listener, and no listener when they are gone", () => {
  const source = new AbortController();
  const followers = Array.from({ length: 1_000 }, () => followSignal(source.signal));
  assert.equal(listeners(source.signal), 1);
  for (const { release } of followers) {
    release();
    release();
  }
  assert.equal(listeners(source.signal), 0);
});

test("can be followed again after everybody left", () => {
  const source = new AbortController();
  followSignal(source.signal).release();
  const { signal } = followSignal(source.signal);
  source.abort("reason");
  assert.equal(signal.reason, "reason");
});

test("a follower that left is not fired", () => {
  const source = new AbortController();
  const { signal, release } = followSignal(source.signal);
  const other = followSignal(source.signal);
  release();
  source.abort("reason");
  assert.equal(signal.aborted, false);
  assert.equal(other.signal.aborted, true);
});

test("the source's listener goes with the last follower that became garbage", async () => {
  const source = new AbortController();
  for (let i = 0; i < 100; i++) {
    followSignal(source.signal);
  }
  setFlagsFromString("--expose-gc");
  const collectGarbage: () => void = runInNewContext("gc");
  while (listeners(source.signal) > 0) {
    collectGarbage();
    await settled();
  }
});

test("a follower that somebody listens to through others is not garbage", async () => {
  const source = new AbortController();
  let fired = false;
  const listen = (): object => {
    const { signal } = followSignal(source.signal);
    signal.addEventListener("abort", () => {
      fired = true;
    });
    return signal;
  };
  const kept = listen();
  setFlagsFromString("--expose-gc");
  const collectGarbage: () => void = runInNewContext("gc");
  for (let i = 0; i < 5; i++) {
    collectGarbage();
    await settled();
  }
  source.abort();
  assert.equal(fired, true);
  assert.ok(kept);
});
