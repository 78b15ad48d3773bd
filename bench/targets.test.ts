import assert from "node:assert/strict";
import { test } from "node:test";
import { contestants } from "./registry.ts";
import { ahead, formatTargets, targets } from "./targets.ts";
import { testReport } from "./test-report.ts";
import { workloads } from "./workloads.ts";

test("targets are about contestants, workloads and metrics that there are", () => {
  for (const { place, than } of targets) {
    for (const { contestant, workload, metric } of than === undefined ? [place] : [place, than]) {
      const metrics = workloads.find(({ name }) => name === workload)?.metrics ?? [];
      assert.ok(contestant in contestants, contestant);
      assert.ok(
        metrics.some(({ name }) => name === metric),
        `${workload}: ${metric}`,
      );
    }
  }
});

test("each target of which all was measured is met or missed", () => {
  assert.deepEqual(formatTargets(testReport).split("\n"), [
    "targets",
    "  missed connect-quic, unary, 100 B, 1 caller, median × connect-node    0.250                at most 0.2",
    "  missed connect-quic, bulk down, 64 KiB messages, rate × connect-node  0.750                 at least 2",
    "  behind connect-quic, bulk down, 64 KiB messages, rate                   150  connect-node has 200 MB/s",
  ]);
});

test("calls are compared with calls alone, by what is better", () => {
  assert.deepEqual(
    ahead(testReport).map(({ result, theirs }) => [result.workload, theirs]),
    [["bulk down, 64 KiB messages", "connect-node"]],
  );
});
