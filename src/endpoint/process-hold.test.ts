import assert from "node:assert/strict";
import { test } from "node:test";
import { ProcessHold } from "./process-hold.ts";

test("ProcessHold references with the first holder and lets go with the last", async () => {
  const calls: boolean[] = [];
  const hold = new ProcessHold((ref) => calls.push(ref));
  const first = hold.take();
  const second = hold.take();
  first();
  first();
  assert.deepEqual(calls, [true]);
  second();
  assert.deepEqual(calls, [true, false]);

  await assert.rejects(hold.during(Promise.reject(new Error("no"))), /no/);
  assert.deepEqual(calls, [true, false, true, false]);
});
