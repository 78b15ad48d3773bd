import assert from "node:assert/strict";
import { test } from "node:test";
import { cellTable, eventTable, type MatrixResult, problemLines } from "./matrix-table.ts";
import type { EventMeasurement } from "./measure-event.ts";

const measured: EventMeasurement = {
  path: {},
  begun: 100,
  lost: 0,
  longestStallMs: 0,
  problems: [],
};

function result(
  pair: MatrixResult["pair"],
  ...measurements: readonly Partial<EventMeasurement>[]
): MatrixResult<EventMeasurement> {
  return {
    name: "nat-nat",
    pair,
    expected: "direct",
    measurements: measurements.map((part) => ({ ...measured, ...part })),
    errors: [],
  };
}

test("cells: medians of the first answer and of the direct path, and what was lost", () => {
  const rows = cellTable(
    [
      result(
        "ours-ours",
        { firstAnswerMs: 90.4, directMs: 300 },
        { firstAnswerMs: 10, directMs: 100 },
        { firstAnswerMs: 100, directMs: 400 },
      ),
      result("iroh-iroh", { firstAnswerMs: 80, lost: 2, problems: ["2 of 100 lost"] }),
    ],
    ["ours-ours", "ours-iroh", "iroh-iroh"],
  );
  assert.deepEqual(rows.split("\n"), [
    "| first answer / direct, ms | path   | ours-ours | ours-iroh | iroh-iroh              |",
    "| ---                       | ---    | ---       | ---       | ---                    |",
    "| nat-nat                   | direct | 90 / 300  | –         | 80 / relay, 2 LOST (!) |",
  ]);
});

test("events: how long nothing was answered, and when all was well", () => {
  const rows = eventTable(
    [result("ours-ours", { longestStallMs: 1_260, recoveredMs: 1_300 }), result("iroh-iroh", {})],
    ["ours-ours", "iroh-iroh"],
  );
  assert.match(rows, /\| 1260 \/ 1300 \| 0 \/ never \|/);
});

test("problems are named with where they were, the laboratory's own too", () => {
  const failed = {
    ...result("iroh-ours", { problems: ["no answer at all"] }),
    errors: ["no core"],
  };
  assert.deepEqual(problemLines([result("ours-ours", {}), failed]), [
    "nat-nat, iroh-ours: no core",
    "nat-nat, iroh-ours: no answer at all",
  ]);
});
