import { formatNumber } from "./format-number.ts";
import { medianOf, type Report, type Result } from "./report.ts";
import { spread } from "./statistics.ts";

/** A report for people: a table for each workload, then what was not measured. */
export function formatReport(report: Report): string {
  const workloads = [...new Set(report.results.map(({ workload }) => workload))];
  const tables = workloads.map((workload) =>
    formatWorkload(
      report,
      report.results.filter((result) => result.workload === workload),
    ),
  );
  const legend = [
    `${report.date}, commit ${report.commit}, Node ${report.node}, ${report.machine}`,
    `median of ${report.rounds} rounds, ± half of what lies between the least and the greatest in percent,`,
    `and × the median of ${report.baseline}`,
  ];
  const width = Math.max(...report.contestants.map(({ name }) => name.length));
  const who = report.contestants.map(({ name, title }) => `${name.padEnd(width)}  ${title}`);
  return [legend.join("\n"), who.join("\n"), ...tables, ...formatGaps(report)].join("\n\n");
}

function formatWorkload(report: Report, results: readonly Result[]): string {
  const players = report.contestants
    .map(({ name }) => name)
    .filter((name) => results.some((result) => medianOf(result, name) !== undefined));
  const columns = results.map((result) => {
    const cells = players.map((name) => formatCells(result, name, report.baseline));
    return [`${result.metric.name}, ${result.metric.unit}`, ...alignColumns(cells, "right")];
  });
  const first = [results[0]?.workload ?? "", ...players.map((name) => `  ${name}`)];
  const rows = first.map((cell, row) => [cell, ...columns.map((column) => column[row] ?? "")]);
  return alignColumns(rows, "left")
    .map((line) => line.trimEnd())
    .join("\n");
}

/** Median, spread and ratio. */
function formatCells(result: Result, name: string, baseline: string): readonly string[] {
  const values = result.series.find(({ contestant }) => contestant === name)?.values ?? [];
  const { median, least, most } = spread(values);
  const percent = Math.round(((most - least) / 2 / median) * 100);
  const ratio = median / (medianOf(result, baseline) ?? Number.NaN);
  return [
    formatNumber(median),
    Number.isFinite(percent) ? `±${percent}%` : "",
    Number.isFinite(ratio) && name !== baseline ? `${formatRatio(ratio)}×` : "",
  ];
}

function formatRatio(ratio: number): string {
  return ratio.toFixed(ratio < 10 ? 2 : 1);
}

function formatGaps({ gaps }: Report): string[] {
  const lines = gaps.map(
    ({ contestant, workload, reason }) =>
      `  ${contestant}${workload === undefined ? "" : `, ${workload}`}: ${reason}`,
  );
  return lines.length === 0 ? [] : [`not measured\n${lines.join("\n")}`];
}

/** Lines of cells below each other: the first column to the side that is said, numbers to the right. */
export function alignColumns(
  rows: readonly (readonly string[])[],
  first: "left" | "right",
): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 && first === "left"
          ? cell.padEnd(widths[0] ?? 0)
          : cell.padStart(widths[column] ?? 0),
      )
      .join("  "),
  );
}
