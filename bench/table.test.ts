import assert from "node:assert/strict";
import { test } from "node:test";
import { alignColumns, formatReport } from "./table.ts";
import { testReport } from "./test-report.ts";

test("a report has a table for each workload, with medians, spreads and ratios, and says what is missing", () => {
  assert.equal(
    formatReport(testReport),
    `2026-01-02T03:04:05.000Z, commit abc1234, Node v20.19.0, 2 × Test, linux
median of 3 rounds, ± half of what lies between the least and the greatest in percent,
and × the median of connect-node

connect-quic  ours
connect-node  theirs
iroh          streams

unary, 100 B, 1 caller        median, us
  connect-quic          100  ±10%  0.25×
  connect-node          400   ±0%
  iroh                  300   ±8%  0.75×

bulk down, 64 KiB messages        rate, MB/s
  connect-quic              150   ±7%  0.75×
  connect-node              200  ±25%

not measured
  iroh, bulk down, 64 KiB messages: failed: why not
  libp2p-tcp: needs <another> Node`,
  );
});

test("a report without a baseline has no ratios", () => {
  const results = testReport.results.map((result) => ({
    ...result,
    series: result.series.filter(({ contestant }) => contestant !== "connect-node"),
  }));
  assert.doesNotMatch(formatReport({ ...testReport, results }), /NaN|\d×/);
});

test("columns stand below each other", () => {
  const rows = [
    ["a", "1"],
    ["bcd", "100"],
  ];
  assert.deepEqual(alignColumns(rows, "left"), ["a      1", "bcd  100"]);
  assert.deepEqual(alignColumns(rows, "right"), ["  a    1", "bcd  100"]);
});
