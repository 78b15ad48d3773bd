import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { defaultRendezvousLimits, resolveRendezvousLimits } from "./rendezvous-limits.ts";

test("docs/rendezvous.md names every limit with its default", () => {
  const page = readFileSync(new URL("../../docs/rendezvous.md", import.meta.url), "utf8");
  const rows = [...page.matchAll(/^\| `(\w+)` \| (\d+) \|/gm)];
  assert.deepEqual(
    Object.fromEntries(rows.map(([, name, value]) => [name, Number(value)])),
    defaultRendezvousLimits,
  );
});

test("limits that cannot be are a RangeError or TypeError", () => {
  assert.throws(() => resolveRendezvousLimits({ watchMessagesPerSecond: 0 }), RangeError);
  assert.throws(() => resolveRendezvousLimits({ leaseMs: 1_000 }), /has to lie between/);
  assert.throws(() => resolveRendezvousLimits({ maxWatches: Number.NaN }));
});
