import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ReceiveBudget, type ReceiveShare } from "./receive-budget.ts";

/** A request whose message comes in pieces, as long as it is not paused. */
class Request {
  paused = false;
  readonly share: ReceiveShare;
  #waiting: number[] = [];
  #finWaiting = false;

  constructor(budget: ReceiveBudget) {
    this.share = budget.open({
      pause: () => {
        assert.ok(!this.paused);
        this.paused = true;
      },
      resume: () => {
        assert.ok(this.paused);
        this.paused = false;
        this.#deliver();
      },
    });
  }

  arrive(bytes: number): void {
    this.#waiting.push(bytes);
    this.#deliver();
  }

  finish(): void {
    this.#finWaiting = true;
    this.#deliver();
  }

  #deliver(): void {
    while (!this.paused && this.#waiting.length > 0) {
      this.share.take(this.#waiting.shift() ?? 0);
    }
    if (!this.paused && this.#finWaiting) {
      this.share.end();
    }
  }
}

test("below the limit nobody is stopped", () => {
  const budget = new ReceiveBudget(100);
  const requests = Array.from({ length: 10 }, () => new Request(budget));
  for (const request of requests) {
    request.arrive(10);
  }
  assert.equal(budget.heldBytes, 100);
  assert.ok(requests.every(({ paused }) => !paused));
});

test("F9: above the limit only the one that holds most goes on, and newcomers wait", () => {
  const budget = new ReceiveBudget(100);
  const [small, large, medium] = [new Request(budget), new Request(budget), new Request(budget)];
  small.arrive(10);
  large.arrive(60);
  medium.arrive(31);
  const late = new Request(budget);
  assert.deepEqual(
    [small, large, medium, late].map(({ paused }) => paused),
    [true, false, true, true],
  );
  large.arrive(1_000);
  late.arrive(5);
  assert.equal(budget.heldBytes, 1_101, "a message that goes on may be as large as it likes");
  large.finish();
  assert.equal(budget.heldBytes, 46);
  assert.ok([small, medium, late].every(({ paused }) => !paused));
});

test("when the one that goes on ends and there is too much still, the next largest goes on", () => {
  const budget = new ReceiveBudget(100);
  const [first, second, third] = [new Request(budget), new Request(budget), new Request(budget)];
  second.arrive(50);
  third.arrive(50);
  first.arrive(101);
  first.finish();
  assert.equal(budget.heldBytes, 100);
  second.arrive(1);
  assert.deepEqual([second.paused, third.paused], [false, true]);
  second.share.end();
  second.share.end();
  assert.equal(third.paused, false);
  assert.equal(budget.heldBytes, 50);
});

test("F7: whatever comes in whatever order, all requests end and little is held beyond the limit", () => {
  const maxBytes = 100;
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.record({ request: fc.nat(9), bytes: fc.integer({ min: 1, max: 60 }) }),
          fc.record({ request: fc.nat(9), bytes: fc.constant(0) }),
        ),
        { maxLength: 200 },
      ),
      (steps) => {
        const budget = new ReceiveBudget(maxBytes);
        const open = new Map<number, Request>();
        const all = new Set<Request>();
        for (const { request, bytes } of steps) {
          const current = open.get(request) ?? new Request(budget);
          open.set(request, current);
          all.add(current);
          if (bytes === 0) {
            current.finish();
            open.delete(request);
          } else {
            current.arrive(bytes);
          }
          const held = [...all].filter(({ share }) => !share.ended);
          const bytesHeld = held.map(({ share }) => share.heldBytes);
          const sum = bytesHeld.reduce((total, more) => total + more, 0);
          assert.equal(budget.heldBytes, sum);
          assert.ok(sum - Math.max(0, ...bytesHeld) <= maxBytes, "all but the largest fit");
          assert.ok(held.length === 0 || held.some(({ paused }) => !paused), "one goes on");
        }
        for (const request of all) {
          request.finish();
        }
        assert.ok([...all].every(({ share }) => share.ended));
        assert.equal(budget.heldBytes, 0);
      },
    ),
    { numRuns: 2_000 },
  );
});
