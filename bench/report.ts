import { quantile } from "./cases.ts";

/** All rounds of one case by one contestant. */
export interface Series {
  readonly contestant: string;
  /** One value a round, in the order in which they were played. */
  readonly values: number[];
  /** One value a round, where the case has them. */
  readonly p99s: number[];
}

export interface CaseResult {
  readonly name: string;
  readonly unit: string;
  readonly series: readonly Series[];
}

/** What stands in the JSON file. */
export interface Report {
  readonly date: string;
  readonly commit: string;
  readonly node: string;
  readonly machine: string;
  readonly effort: object;
  readonly cases: readonly (CaseResult & { readonly medians: Record<string, number> })[];
}

export function median(values: readonly number[]): number {
  return quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}

/** A demand on a case: its value of the first contestant as a factor of the second one's. */
export interface Requirement {
  readonly caseName: string;
  readonly ratio: number;
}

/** Reads `<case>:<ratio>`. Undefined when it is not like that, or there is no such case. */
export function parseRequirement(
  text: string,
  caseNames: readonly string[],
): Requirement | undefined {
  const colon = text.lastIndexOf(":");
  const caseName = text.slice(0, colon);
  const ratio = Number(text.slice(colon + 1));
  return ratio > 0 && caseNames.includes(caseName) ? { caseName, ratio } : undefined;
}

/** What is wrong with the results, a line for each requirement that they do not meet. */
export function unmet(
  requirements: readonly Requirement[],
  results: readonly CaseResult[],
): string[] {
  return requirements.flatMap(({ caseName, ratio }) => {
    const result = results.find(({ name }) => name === caseName);
    const [ours = Number.NaN, theirs = Number.NaN] =
      result?.series.map(({ values }) => median(values)) ?? [];
    const found = ours / theirs;
    const isTime = result?.unit === "us";
    return (isTime ? found <= ratio : found >= ratio)
      ? []
      : [`${caseName}: ${found.toFixed(2)} ×, required at ${isTime ? "most" : "least"} ${ratio}`];
  });
}

/**
 * The results as a table: a row for each case, a column for each contestant, and how the first one does against each of
 * the others, as a factor of the value.
 */
export function formatTable(results: readonly CaseResult[]): string {
  const rows = results.flatMap((result) => {
    const [ours, ...others] = result.series.map(({ values }) => median(values));
    const ratios = others.map((theirs) => `${((ours ?? Number.NaN) / theirs).toFixed(2)} ×`);
    const cells = result.series.map((series) => formatSeries(series.values, result.unit));
    const row = [result.name, ...cells, ...ratios];
    const p99s = result.series.map(({ p99s }) => p99s);
    return p99s.some((values) => values.length > 0)
      ? [row, ["  99th percentile", ...p99s.map((values) => formatSeries(values, result.unit))]]
      : [row];
  });
  const names = results[0]?.series.map(({ contestant }) => contestant) ?? [];
  const [first, ...others] = names;
  const header = ["", ...names, ...others.map((other) => `${first} / ${other}`)];
  return alignColumns([header, ...rows]);
}

/** `105 us (101–113)`: median, least and greatest. */
function formatSeries(values: readonly number[], unit: string): string {
  if (values.length === 0) {
    return "";
  }
  const [least, most] = [Math.min(...values), Math.max(...values)];
  return `${formatNumber(median(values))} ${unit} (${formatNumber(least)}–${formatNumber(most)})`;
}

function formatNumber(value: number): string {
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0);
}

function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join("   ")
        .trimEnd(),
    )
    .join("\n");
}
