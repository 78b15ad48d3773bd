import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { authorRate, clockToleranceMs, ownRate } from "../../../examples/chat/limits.ts";
import { Outbox } from "../../../examples/chat/outbox.ts";
import { isName, printable } from "../../../examples/chat/printable.ts";
import { RateLimit, RateLimits } from "../../../examples/chat/rate-limit.ts";
import { RoomClock } from "../../../examples/chat/room-clock.ts";

test("RateLimit lets a burst through, and then so many a second", () => {
  const limit = new RateLimit({ burst: 2, perSecond: 4 });
  assert.deepEqual([limit.take(0), limit.take(0), limit.take(0)], [true, true, false]);
  assert.equal(limit.waitMs(0), 250);
  assert.deepEqual([limit.take(249), limit.take(250), limit.take(260)], [false, true, false]);
  assert.deepEqual([limit.take(9_000), limit.take(9_000), limit.take(9_000)], [true, true, false]);
});

test("RateLimits counts for each, and remembers those that were here last", () => {
  const limits = new RateLimits({ burst: 1, perSecond: 1 }, 2);
  assert.deepEqual(
    [limits.take("a", 0), limits.take("b", 0), limits.take("a", 0)],
    [true, true, false],
  );
  assert.equal(limits.take("c", 0), true);
  assert.equal(limits.take("a", 0), false, "a was here later than b");
  assert.equal(limits.take("b", 0), true, "forgotten");
});

test("nothing that a member says at its own rate is too much for others, though it was held up for 8 s", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 8_000 }),
      fc.integer({ min: 0, max: 20_000 }),
      (heldMs, at) => {
        const own = new RateLimit(ownRate);
        const author = new RateLimit(authorRate);
        let now = 0;
        while (now < 30_000) {
          now += own.waitMs(now);
          own.take(now);
          // What was said from `at` on arrives together.
          const arrives = now >= at && now < at + heldMs ? at + heldMs : now;
          assert.ok(author.take(arrives), `said at ${now}`);
        }
      },
    ),
  );
});

test("RoomClock puts what is said after what was seen, and sees nothing of the future", () => {
  const clock = new RoomClock(clockToleranceMs);
  assert.equal(clock.next(1_000_000), 1_000_000);
  assert.equal(clock.next(1_000_000), 1_000_001, "never twice");
  assert.equal(clock.see(1_005_000, 1_000_000), true);
  assert.equal(clock.next(1_000_000), 1_005_001, "after what it answers");
  assert.equal(clock.see(1_000_000 + clockToleranceMs + 1, 1_000_000), false);
  assert.equal(clock.next(1_000_000), 1_005_002);
  assert.equal(clock.see(1_000_000 + clockToleranceMs, 1_000_000), true);
  assert.ok(clock.next(1_000_000) <= 1_000_000 + clockToleranceMs / 2, "not dragged all the way");
});

test("printable leaves nothing that a terminal obeys, and letters as they are", () => {
  assert.equal(printable("a\x1b[2Jb\x9b31mc\r\nd\x07\x00"), "a [2Jb 31mc d ");
  assert.equal(printable("\u202eevil\u2066\u2028line"), " evil line");
  assert.equal(printable("Grüße, 世界 👩‍👩‍👧 نمی‌خواهم"), "Grüße, 世界 👩‍👩‍👧 نمی‌خواهم");
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      assert.doesNotMatch(printable(text), /[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/);
    }),
  );
});

test("isName takes words of letters and digits, and nothing that looks like something else", () => {
  for (const name of ["ada", "Zoë", "小林", "r2-d2_v.1", "x".repeat(24)]) {
    assert.ok(isName(name), name);
  }
  for (const name of ["", "a b", "*", "ada:", "a\x1b", "x".repeat(25), "a\u202e", "bob~1a2b"]) {
    assert.ok(!isName(name), JSON.stringify(name));
  }
});

test("Outbox hands over in order, takes up to its limit, and ends with a last item", async () => {
  let idle = 0;
  const outbox = new Outbox<number>(2, () => {
    idle += 1;
  });
  assert.deepEqual([outbox.push(1), outbox.push(2), outbox.push(3)], [true, true, false]);
  outbox.end(4);
  assert.equal(outbox.push(5), false);
  assert.deepEqual(await all(outbox), [1, 2, 4]);
  assert.equal(idle, 0);
});

test("Outbox wakes its reader, tells that it waits, and fails without what is left", async () => {
  const events: string[] = [];
  const outbox = new Outbox<string>(2, () => events.push("idle"));
  const reading = (async () => {
    for await (const item of outbox) {
      events.push(item);
      if (item === "one") {
        outbox.push("never read");
        outbox.fail(new Error("too slow"));
      }
    }
  })();
  await Promise.resolve();
  outbox.push("one");
  await assert.rejects(reading, /too slow/);
  assert.deepEqual(events, ["idle", "one"]);
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) {
    found.push(item);
  }
  return found;
}
