import assert from "node:assert/strict";
import { it } from "node:test";
import { defaultTransportOptions } from "../engine.ts";
import { StopBudget } from "./stop-budget.ts";

it("half of the streams that a peer may open can be stopped, and again when they are forgotten", () => {
  const budget = new StopBudget({ ...defaultTransportOptions, maxUnidirectionalStreams: 5 });
  const stream = { direction: "unidirectional", initiator: "peer", stopWasSent: true } as const;
  assert.deepEqual(
    [budget.take(stream), budget.take(stream), budget.take(stream)],
    [true, true, false],
  );
  assert(budget.take({ ...stream, direction: "bidirectional" }));
  assert(budget.take({ ...stream, initiator: "local" }));
  budget.giveBack({ ...stream, stopWasSent: false });
  assert(!budget.take(stream));
  budget.giveBack(stream);
  assert(budget.take(stream));
});
