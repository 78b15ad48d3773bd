import assert from "node:assert/strict";
import { test } from "node:test";
import { FloodGuard } from "./flood-guard.ts";

test("tolerates as much as the limit says in each window", () => {
  const guard = new FloodGuard({ max: 2, perUseful: 0, windowMs: 100 });
  assert.deepEqual(
    [0, 50, 99].map((now) => guard.tolerates(now)),
    [true, true, false],
  );
  assert.deepEqual(
    [100, 150, 199].map((now) => guard.tolerates(now)),
    [true, true, false],
  );
});

test("useful things in the same window allow more", () => {
  const guard = new FloodGuard({ max: 0, perUseful: 2, windowMs: 100 });
  assert.equal(guard.tolerates(0), false);
  guard.useful();
  guard.useful();
  assert.deepEqual(
    [1, 2, 3, 4].map((now) => guard.tolerates(now)),
    [true, true, true, false],
  );
  assert.equal(guard.tolerates(100), false);
});
