import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { NumberMap } from "./number-map.ts";

const keys = fc.oneof(
  fc.nat({ max: 40 }),
  fc.nat({ max: 2_000 }).map((index) => index * 4),
  fc.maxSafeNat(),
);

test("has nothing at a negative number", () => {
  const map = new NumberMap<string>();
  map.set(0, "zero");
  for (const key of [-1, -4]) {
    map.delete(key);
    assert.equal(map.get(key), undefined);
    assert.throws(() => map.set(key, ""), RangeError);
  }
  assert.equal(map.size, 1);
  assert.equal(map.get(0), "zero");
});

const steps = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("set" as const), key: keys }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("delete" as const), key: keys }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("delete one" as const), key: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("clear" as const), key: fc.constant(0) }) },
  ),
  { maxLength: 300, size: "max" },
);

test("is a map by numbers", () => {
  fc.assert(
    fc.property(steps, (all) => {
      const map = new NumberMap<string>();
      const model = new Map<number, string>();
      for (const [index, step] of all.entries()) {
        const known = [...model.keys()];
        const key =
          step.do === "delete one" ? (known[step.key % known.length] ?? step.key) : step.key;
        switch (step.do) {
          case "set":
            map.set(key, `value ${index}`);
            model.set(key, `value ${index}`);
            break;
          case "clear":
            map.clear();
            model.clear();
            break;
          default:
            map.delete(key);
            model.delete(key);
        }
        assert.equal(map.size, model.size);
        assert.equal(map.get(key), model.get(key));
      }
      for (const key of all.map((step) => step.key)) {
        assert.equal(map.get(key), model.get(key));
      }
      const sorted = [...model].sort(([a], [b]) => a - b).map(([, value]) => value);
      assert.deepEqual(map.values(), sorted);
    }),
  );
});

test("what comes and goes, thousands at a time", () => {
  const map = new NumberMap<number>();
  for (let round = 0; round < 3; round++) {
    for (let id = 0; id < 40_000; id += 4) {
      map.set(id + round, id);
    }
    assert.equal(map.size, 10_000);
    for (let id = 0; id < 40_000; id += 4) {
      assert.equal(map.get(id + round), id);
      map.delete(id + round);
      assert.equal(map.get(id + round), undefined);
    }
    assert.equal(map.size, 0);
  }
});
