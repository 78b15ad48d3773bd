import assert from "node:assert/strict";
import { test } from "node:test";
import { Deadlines } from "./deadlines.ts";

test("expires in the order of the beginnings, and not what was stopped", () => {
  const deadlines = new Deadlines<string>(10);
  const first = deadlines.start("a", 0);
  const second = deadlines.start("b", 1);
  deadlines.start("c", 2);
  deadlines.stop(second);
  assert.equal(deadlines.next(), 10);
  assert.deepEqual(deadlines.expire(9), []);
  assert.deepEqual(deadlines.expire(10), ["a"]);
  deadlines.stop(first);
  assert.equal(deadlines.next(), 12);
  assert.deepEqual(deadlines.expire(100), ["c"]);
  assert.equal(deadlines.next(), undefined);
});
