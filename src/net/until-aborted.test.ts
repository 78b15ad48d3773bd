import assert from "node:assert/strict";
import { test } from "node:test";
import { untilAborted } from "./until-aborted.ts";

const reason = new Error("enough");

test("untilAborted gives what the promise gives", async () => {
  const { signal } = new AbortController();
  assert.equal(await untilAborted(Promise.resolve(1), signal), 1);
  await assert.rejects(untilAborted(Promise.reject(reason), signal), reason);
});

test("untilAborted rejects with the signal's reason, before and after it fired", async () => {
  const stop = new AbortController();
  const waiting = untilAborted(new Promise(() => {}), stop.signal);
  stop.abort(reason);
  await assert.rejects(waiting, reason);
  await assert.rejects(untilAborted(new Promise(() => {}), stop.signal), reason);
  // Nobody is told of what comes too late.
  await assert.rejects(untilAborted(Promise.reject(new Error("late")), stop.signal), reason);
});
