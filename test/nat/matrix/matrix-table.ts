import type { EventMeasurement } from "./measure-event.ts";
import type { Measurement } from "./measurement.ts";
import type { PairName } from "./pairs.ts";

/** What was measured in one network with one pairing: once, or again and again. */
export interface MatrixResult<M extends Measurement = Measurement> {
  /** Of the cell or event. */
  readonly name: string;
  readonly pair: PairName;
  readonly expected: string;
  readonly measurements: readonly M[];
  /** The laboratory's own failures. */
  readonly errors: readonly string[];
}

/** A row per cell, a column per pairing: milliseconds to the first answer / to the direct path. In Markdown. */
export function cellTable(results: readonly MatrixResult[], pairs: readonly PairName[]): string {
  return table(["first answer / direct, ms", "path"], results, pairs, ({ measurements }) => {
    const first = median(measurements.map(({ firstAnswerMs }) => firstAnswerMs));
    const direct = median(measurements.map(({ directMs }) => directMs));
    return `${format(first)} / ${direct === undefined ? "relay" : format(direct)}`;
  });
}

/** A row per event, a column per pairing: how long nothing was answered, how long until all was well. In Markdown. */
export function eventTable(
  results: readonly MatrixResult<EventMeasurement>[],
  pairs: readonly PairName[],
): string {
  return table(["stall / all well after, ms", "path"], results, pairs, ({ measurements }) => {
    const stall = median(measurements.map(({ longestStallMs }) => longestStallMs));
    const recovered = median(measurements.map(({ recoveredMs }) => recoveredMs));
    return `${format(stall)} / ${recovered === undefined ? "never" : format(recovered)}`;
  });
}

/** A line for everything that is not as it should be. */
export function problemLines(results: readonly MatrixResult[]): string[] {
  return results.flatMap((result) =>
    problemsOf(result).map((problem) => `${result.name}, ${result.pair}: ${problem}`),
  );
}

function table<M extends Measurement>(
  head: readonly string[],
  results: readonly MatrixResult<M>[],
  pairs: readonly PairName[],
  describe: (result: MatrixResult<M>) => string,
): string {
  const names = [...new Set(results.map(({ name }) => name))];
  const rows = names.map((name) => {
    const ofName = results.filter((result) => result.name === name);
    const cells = pairs.map((pair) => {
      const result = ofName.find((candidate) => candidate.pair === pair);
      return result === undefined ? "–" : `${describe(result)}${remarks(result)}`;
    });
    return [name, ofName[0]?.expected ?? "", ...cells];
  });
  const lines = [[...head, ...pairs], [...head, ...pairs].map(() => "---"), ...rows];
  const widths = lines[0]?.map((_, index) =>
    Math.max(...lines.map((line) => line[index]?.length ?? 0)),
  );
  return lines
    .map((line) => `| ${line.map((cell, at) => cell.padEnd(widths?.[at] ?? 0)).join(" | ")} |`)
    .join("\n");
}

function remarks(result: MatrixResult): string {
  const lost = result.measurements.reduce((sum, measurement) => sum + measurement.lost, 0);
  return `${lost === 0 ? "" : `, ${lost} LOST`}${problemsOf(result).length === 0 ? "" : " (!)"}`;
}

function problemsOf({ measurements, errors }: MatrixResult): string[] {
  return [...errors, ...measurements.flatMap(({ problems }) => problems)];
}

/** Of those that there are. */
function median(values: readonly (number | undefined)[]): number | undefined {
  const sorted = values.filter((value) => value !== undefined).sort((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)];
}

function format(ms: number | undefined): string {
  return ms === undefined ? "–" : ms.toFixed(0);
}
