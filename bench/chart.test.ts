import assert from "node:assert/strict";
import { test } from "node:test";
import { renderChart } from "./chart.ts";
import { testReport } from "./test-report.ts";

test("a chart has a bar for each median, as long as it is great", () => {
  const svg = renderChart(testReport);
  const bars = [...svg.matchAll(/<rect class="([^"]+)"[^>]* width="([\d.]+)"/g)];
  const widths = bars.map(([, kind, width]) => [kind, Number(width)] as const);
  const full = Math.max(...widths.map(([, width]) => width));
  assert.deepEqual(
    widths.map(([kind, width]) => [kind, Math.round((width / full) * 100)]),
    [
      ["ours", 25],
      ["baseline", 100],
      ["other bytes", 75],
      ["ours", 75],
      ["baseline", 100],
    ],
  );
});

test("a chart is well-formed whatever names there are", () => {
  const svg = renderChart({ ...testReport, machine: `<"&>` });
  assert.ok(svg.includes("&#60;&#34;&#38;&#62;"));
  const open = svg.match(/<(svg|title|style|text)\b/g)?.length;
  assert.equal(svg.match(/<\/(svg|title|style|text)>/g)?.length, open);
});

test("without results there is an empty chart", () => {
  assert.doesNotMatch(renderChart({ ...testReport, results: [] }), /NaN|Infinity|<rect/);
});
