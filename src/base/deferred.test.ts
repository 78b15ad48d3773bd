import assert from "node:assert/strict";
import { test } from "node:test";
import { deferred } from "./deferred.ts";

test("a deferred promise settles once, from outside", async () => {
  const resolved = deferred<number>();
  resolved.resolve(1);
  resolved.resolve(2);
  resolved.reject(new Error("too late"));
  assert.equal(await resolved.promise, 1);
  const rejected = deferred<number>();
  rejected.reject(new Error("no"));
  rejected.resolve(1);
  await assert.rejects(rejected.promise, /^Error: no$/);
});
