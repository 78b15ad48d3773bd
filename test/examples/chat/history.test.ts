import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { comparePlaces, type Entry, History } from "../../../examples/chat/history.ts";

const limits = { total: 6, ofAuthor: 4 };

/** Few places and signatures, so that they meet. */
const entries: fc.Arbitrary<Entry[]> = fc
  .array(
    fc.record({
      timeMs: fc.integer({ min: 1, max: 12 }),
      author: fc.constantFrom("ada", "bob", "cyd"),
      signature: fc.string({ minLength: 3, maxLength: 3, unit: fc.constantFrom(..."0123456789") }),
    }),
    { maxLength: 40 },
  )
  .map((all) => [...new Map(all.map((entry) => [entry.signature, entry])).values()]);

function historyOf(all: Iterable<Entry>): History<Entry> {
  const history = new History<Entry>(limits);
  for (const entry of all) {
    history.add(entry);
  }
  return history;
}

test("History is the same for the same messages, in whatever order they come", () => {
  fc.assert(
    fc.property(
      entries.chain((all) =>
        fc.tuple(
          fc.constant(all),
          fc.shuffledSubarray(all, { minLength: all.length }),
          fc.shuffledSubarray(all),
        ),
      ),
      ([all, shuffled, again]) => {
        assert.deepEqual([...historyOf([...shuffled, ...again])], [...historyOf(all)]);
      },
    ),
    { numRuns: 500 },
  );
});

test("History of members that hand each other theirs becomes that of who has heard all", () => {
  fc.assert(
    fc.property(
      entries,
      fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 40, maxLength: 40 }),
      fc.array(fc.tuple(fc.nat(2), fc.nat(2)), { maxLength: 12 }),
      (all, hearers, meetings) => {
        // Bit n: member n was there when it was said; each message is heard by somebody.
        const members = [0, 1, 2].map((member) =>
          historyOf(all.filter((_, at) => ((hearers[at] ?? 0) >> member) & 1)),
        );
        const meet = (from: number, to: number): void => {
          for (const entry of [...(members[from] ?? [])]) {
            members[to]?.add(entry);
          }
        };
        for (const [from, to] of meetings) {
          meet(from, to);
        }
        // Round and back: everything has gone everywhere.
        for (const [from, to] of [
          [0, 1],
          [1, 2],
          [2, 0],
          [0, 1],
        ] as const) {
          meet(from, to);
        }
        for (const member of members) {
          assert.deepEqual([...member], [...historyOf(all)]);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test("History is in order, within its limits, and says what is new", () => {
  fc.assert(
    fc.property(entries, (all) => {
      const history = new History<Entry>(limits);
      for (const entry of all) {
        const isNew = history.add(entry);
        assert.equal(isNew, [...history].includes(entry), "added or not");
        assert.equal(history.add(entry), false, "once is enough");
        assert.equal(history.has(entry.signature), isNew, "has");
      }
      const kept = [...history];
      assert.equal(kept.length, history.size);
      assert.ok(kept.length <= limits.total, "total");
      for (const name of ["ada", "bob", "cyd"]) {
        const count = kept.filter(({ author }) => author === name).length;
        assert.ok(count <= limits.ofAuthor, `${count} of ${name}`);
      }
      for (const [at, entry] of kept.slice(1).entries()) {
        const before = kept[at];
        assert.ok(before !== undefined && comparePlaces(before, entry) < 0, "order");
      }
    }),
  );
});

test("History keeps others' messages when one author says a lot", () => {
  const history = historyOf([
    { timeMs: 1, author: "ada", signature: "a" },
    { timeMs: 2, author: "bob", signature: "b" },
    ...Array.from({ length: 20 }, (_, at) => ({
      timeMs: 10 + at,
      author: "cyd",
      signature: `c${at}`,
    })),
  ]);
  assert.deepEqual(
    Array.from(history, ({ signature }) => signature),
    ["a", "b", "c16", "c17", "c18", "c19"],
  );
});
