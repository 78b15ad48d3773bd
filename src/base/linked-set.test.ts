import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Link, LinkedSet } from "./linked-set.ts";

test("is a set in the order of coming", () => {
  const steps = fc.array(
    fc.oneof(fc.constantFrom("add" as const, "shift" as const), fc.nat({ max: 100 })),
  );
  fc.assert(
    fc.property(steps, (all) => {
      const set = new LinkedSet<number>();
      const model = new Set<number>();
      const links: Link<number>[] = [];
      for (const step of all) {
        if (step === "add") {
          model.add(links.length);
          links.push(set.add(links.length));
        } else if (step === "shift") {
          set.shift();
          model.delete([...model][0] ?? -1);
        } else {
          const link = links[step];
          if (link !== undefined) {
            set.delete(link);
            model.delete(link.value);
          }
        }
        assert.equal(set.size, model.size);
        assert.equal(set.first, [...model][0]);
        assert.deepEqual(set.values(), [...model]);
      }
    }),
  );
});
