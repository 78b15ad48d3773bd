// What a page knows of its worker, however seldom it looks.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PageModel } from "../../src/worker/page/page-model.ts";
import { maxFound } from "../../src/worker/worker-limits.ts";
import { WorkerState } from "../../src/worker/worker-state.ts";

test("a worker tells a page that comes late the same workers as one that is opened", () => {
  const step = fc.record({
    isThere: fc.boolean(),
    // More come and go between two reads, at times, than are remembered as gone.
    from: fc.nat(700),
    count: fc.nat(maxFound + 100),
    reads: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const state = new WorkerState(() => {});
      const reader = new PageModel();
      let seen: number | undefined;
      for (const { isThere, from, count, reads } of steps) {
        for (let i = from; i < from + count; i++) {
          const id = String(i % 700);
          if (isThere) {
            state.found({ id, name: `from ${from}`, labels: {}, registeredAtMs: 1n });
          } else {
            state.gone(id);
          }
        }
        if (reads) {
          const { changes, version } = state.changesSince(seen);
          seen = version;
          reader.apply(changes);
          const fresh = new PageModel();
          fresh.apply(state.changesSince().changes);
          const namesOf = ({ found }: PageModel) =>
            [...found.values()].map(({ id, name }) => `${id} ${name}`).sort();
          assert.deepEqual(namesOf(reader), namesOf(fresh));
        }
      }
    }),
    {
      examples: [
        // More are gone than is remembered since the first read.
        [
          [
            { isThere: true, from: 0, count: 500, reads: true },
            { isThere: false, from: 0, count: 500, reads: false },
            { isThere: true, from: 500, count: 200, reads: false },
            { isThere: false, from: 500, count: 200, reads: true },
          ],
        ],
      ],
    },
  );
});
