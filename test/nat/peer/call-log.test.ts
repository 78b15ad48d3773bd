import assert from "node:assert/strict";
import { test } from "node:test";
import { CallLog } from "./call-log.ts";

test("calls are counted by what became of them", () => {
  const log = new CallLog();
  const [first, second] = [log.begin(0), log.begin(10), log.begin(20)];
  log.answer(first, 30);
  log.fail(second, "gone");
  assert.equal(log.out, 1);
  assert.deepEqual(log.report(40), {
    begun: 3,
    answered: 1,
    failed: 1,
    firstAnswerAt: 30,
    waitingSince: 20,
    stalls: [],
    problem: "gone",
  });
});

test("a stall is the time between two answers, over a tenth of a second", () => {
  const log = new CallLog();
  const numbers = [0, 20, 40, 60].map((now) => log.begin(now));
  for (const [index, at] of [100, 200, 301, 5_301].entries()) {
    log.answer(numbers[index] ?? 0, at);
  }
  assert.deepEqual(log.report(9_000).stalls, [
    { from: 200, ms: 101 },
    { from: 301, ms: 5_000 },
  ]);
});

test("while a call is out, the present silence is a stall too", () => {
  const log = new CallLog();
  log.answer(log.begin(0), 10);
  assert.deepEqual(log.report(1_000).stalls, []);
  log.begin(20);
  assert.deepEqual(log.report(1_000).stalls, [{ from: 10, ms: 990 }]);
});
