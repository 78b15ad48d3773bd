import { formatNumber } from "./format-number.ts";
import { medianOf, type Report, type Result } from "./report.ts";

/** What the chart shows of a report, by workload and metric. */
const panels: readonly { readonly workload: string; readonly metric: string }[] = [
  { workload: "unary, 100 B, 1 caller", metric: "median" },
  { workload: "unary, 100 B, 32 callers", metric: "rate" },
  { workload: "bidirectional streaming, 100 B", metric: "rate" },
  { workload: "bulk down, 64 KiB messages", metric: "rate" },
  { workload: "first call on a new connection", metric: "median" },
  { workload: "1,000 idle connections", metric: "both sides" },
];

const columns = 2;
const panelWidth = 460;
const nameWidth = 160;
const valueWidth = 70;
const barWidth = panelWidth - nameWidth - valueWidth - 20;
const rowHeight = 19;
const titleHeight = 52;

const style = `
  text { font: 12px system-ui, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 13px; }
  .faint { fill: #59636e; }
  .ours { fill: #0969da; }
  .baseline { fill: #bf8700; }
  .other { fill: #8c959f; }
  .bytes { opacity: 0.45; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .faint { fill: #9198a1; }
  }
`;

/** A report as an SVG image: a panel of bars for each of some metrics. What was not measured has no bar. */
export function renderChart(report: Report): string {
  const shown = panels.flatMap(({ workload, metric }) =>
    report.results.filter(
      (result) => result.workload === workload && result.metric.name === metric,
    ),
  );
  let top = 0;
  const parts: string[] = [];
  for (let index = 0; index < shown.length; index += columns) {
    const row = shown.slice(index, index + columns);
    parts.push(...row.map((result, column) => panel(report, result, column * panelWidth, top)));
    top += Math.max(...row.map((result) => panelHeight(report, result)));
  }
  const width = columns * panelWidth;
  const note = `medians, two processes on loopback, Node ${report.node}, ${report.machine}; pale: bare streams, not calls`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${top + 24}" width="${width}" height="${top + 24}" role="img">`,
    `<title>connect-quic beside others</title>`,
    `<style>${style}</style>`,
    ...parts,
    text(8, top + 12, note, "faint"),
    "</svg>\n",
  ].join("\n");
}

function panel(report: Report, result: Result, left: number, top: number): string {
  const rows = measured(report, result);
  const most = Math.max(...rows.map(({ value }) => value));
  const { unit, better } = result.metric;
  const bars = rows.map(({ name, carries, value }, index) => {
    const y = top + titleHeight + index * rowHeight;
    const kind =
      name === report.baseline
        ? "baseline"
        : /^(connect-quic|bare-engine)/.test(name)
          ? "ours"
          : "other";
    const width = Math.max(1, (value / most) * barWidth).toFixed(1);
    const bar = `<rect class="${kind}${carries === "bytes" ? " bytes" : ""}" x="${left + nameWidth}" y="${y - 10}" width="${width}" height="13" rx="2"/>`;
    const label = text(left + nameWidth + Number(width) + 5, y + 1, formatNumber(value));
    return [text(left + nameWidth - 6, y + 1, name, undefined, "end"), bar, label].join("\n");
  });
  return [
    text(left + 8, top + 18, result.workload, "title"),
    text(left + 8, top + 34, `${unit}, ${better} is better`, "faint"),
    ...bars,
  ].join("\n");
}

function panelHeight(report: Report, result: Result): number {
  return titleHeight + measured(report, result).length * rowHeight + 10;
}

function measured(
  report: Report,
  result: Result,
): { readonly name: string; readonly carries: string; readonly value: number }[] {
  return report.contestants.flatMap(({ name, carries }) => {
    const value = medianOf(result, name);
    return value === undefined || !(value > 0) ? [] : [{ name, carries, value }];
  });
}

function text(x: number, y: number, content: string, kind?: string, anchor?: "end"): string {
  const attributes = [
    kind === undefined ? "" : ` class="${kind}"`,
    anchor === undefined ? "" : ` text-anchor="${anchor}"`,
  ].join("");
  return `<text x="${x}" y="${y}"${attributes}>${escapeXml(content)}</text>`;
}

function escapeXml(content: string): string {
  return content.replace(/[<>&"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
