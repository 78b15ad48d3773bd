import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { DynamicTable, entrySize, type TableEntry } from "./dynamic-table.ts";

function entryOf(name: string, value: string): TableEntry {
  return { field: [name, value] };
}

test("entrySize counts the bytes of name and value and 32 more (RFC 9204 §3.2.1)", () => {
  assert.equal(entrySize(["custom-key", "custom-value"]), 54);
});

test("DynamicTable begins with no capacity at all", () => {
  const table = new DynamicTable();
  assert.equal(table.capacity, 0);
  assert.equal(table.get(0), undefined);
  assert.throws(() => table.insert(entryOf("a", "b")), RangeError);
});

test("DynamicTable evicts the oldest entries for a new one, and no more than it must", () => {
  const table = new DynamicTable();
  table.setCapacity(3 * 34);
  const evicted: TableEntry[] = [];
  const entries = ["a", "b", "c", "d"].map((name) => entryOf(name, "1"));
  for (const entry of entries) {
    table.insert(entry, (gone) => evicted.push(gone));
  }
  assert.deepEqual(evicted, entries.slice(0, 1));
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((index) => table.get(index)),
    [undefined, ...entries.slice(1), undefined],
  );
  assert.equal(table.evictedCount, 1);
  assert.equal(table.insertCount, 4);
});

test("DynamicTable evicts what a smaller capacity does not hold (RFC 9204 §3.2.3)", () => {
  const table = new DynamicTable();
  table.setCapacity(200);
  table.insert(entryOf("a", "1"));
  table.insert(entryOf("b", "2"));
  table.setCapacity(67);
  assert.equal(table.get(0), undefined);
  assert.deepEqual(table.get(1), entryOf("b", "2"));
  table.setCapacity(0);
  assert.equal(table.get(1), undefined);
  assert.equal(table.size, 0);
});

test("DynamicTable holds what a plain queue would hold", () => {
  const operation = fc.oneof(
    { weight: 8, arbitrary: fc.string({ maxLength: 60 }).map((value) => ({ value })) },
    { weight: 1, arbitrary: fc.nat(400).map((capacity) => ({ capacity })) },
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
      const table = new DynamicTable();
      table.setCapacity(300);
      let capacity = 300;
      let inserted = 0;
      let queue: { index: number; entry: TableEntry }[] = [];
      const size = () => queue.reduce((sum, { entry }) => sum + entrySize(entry.field), 0);
      for (const operation of operations) {
        if ("capacity" in operation) {
          capacity = operation.capacity;
          table.setCapacity(capacity);
        } else if (entrySize(["n", operation.value]) <= capacity) {
          const entry = entryOf("n", operation.value);
          table.insert(entry);
          queue.push({ index: inserted++, entry });
        }
        while (size() > capacity) {
          queue = queue.slice(1);
        }
        assert.equal(table.size, size());
        assert.equal(table.insertCount, inserted);
        assert.equal(table.evictedCount, inserted - queue.length);
        for (const { index, entry } of queue) {
          assert.equal(table.get(index), entry);
        }
      }
      for (const index of [-1, table.evictedCount - 1, inserted, Number.POSITIVE_INFINITY]) {
        assert.equal(
          queue.some((one) => one.index === index) ? undefined : table.get(index),
          undefined,
        );
      }
    }),
    { numRuns: 500 },
  );
});
