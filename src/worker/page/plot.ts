/** How large a plot is, in units of its own. */
export interface PlotSize {
  readonly width: number;
  readonly height: number;
  /** Values that fill the width: fewer end at the right, as far as they go. Default: as many as there are. */
  readonly slots?: number;
  /** The value at the top, at least. Default 0. */
  readonly atLeast?: number;
}

/** A line through values as the `d` of an SVG path, zero at the bottom and the largest at the top; empty below two. */
export function plotLine(values: readonly number[], size: PlotSize): string {
  const points = pointsOf(values, size);
  return points.length < 2 ? "" : `M${points.join("L")}`;
}

/** What is below the line. */
export function plotArea(values: readonly number[], size: PlotSize): string {
  const points = pointsOf(values, size);
  const [first = ""] = points;
  const left = first.split(" ")[0];
  return points.length < 2
    ? ""
    : `M${left} ${size.height}L${points.join("L")}L${round(size.width)} ${size.height}Z`;
}

function pointsOf(values: readonly number[], { width, height, ...size }: PlotSize): string[] {
  const slots = Math.max(size.slots ?? values.length, values.length, 2);
  const top = Math.max(...values, size.atLeast ?? 0) || 1;
  const step = width / (slots - 1);
  const from = slots - values.length;
  // A line on the border would be half outside.
  const inset = 1.5;
  return values.map(
    (value, at) =>
      `${round((from + at) * step)} ${round(height - inset - (value / top) * (height - 2 * inset))}`,
  );
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
