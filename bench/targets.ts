// What the project sets itself, as ratios within one run, and how a report does against it.

import { formatNumber } from "./format-number.ts";
import { medianOf, type Report, type Result } from "./report.ts";
import { alignColumns } from "./table.ts";

/** A value of a report, by its names. */
interface Place {
  readonly contestant: string;
  readonly workload: string;
  readonly metric: string;
}

interface Target {
  readonly place: Place;
  readonly limit: "at most" | "at least";
  /** Times the value at `than`; without that, the value itself. */
  readonly factor: number;
  readonly than?: Place;
}

const latency = { workload: "unary, 100 B, 1 caller", metric: "median" };
const calls = { workload: "unary, 100 B, 32 callers", metric: "rate" };
const chat = { workload: "bidirectional streaming, 100 B", metric: "rate" };
const fresh = { workload: "first call on a new connection", metric: "median" };
const resumed = { workload: "first call, session resumed", metric: "median" };
const memory = { workload: "1,000 idle connections", metric: "both sides" };
const [bulk, narrow] = ["64 KiB messages", "datagrams of 1350 B"].map((size) =>
  ["down", "up"].map((way) => ({ workload: `bulk ${way}, ${size}`, metric: "rate" })),
) as [Omit<Place, "contestant">[], Omit<Place, "contestant">[]];

export const targets: readonly Target[] = [
  target("connect-quic", latency, "at most", 0.2, "connect-node"),
  target("connect-quic", latency, "at most", 1.7, "bare-engine"),
  target("connect-quic", calls, "at least", 10, "connect-node"),
  target("connect-quic-grpc", calls, "at least", 8, "connect-node-grpc"),
  target("connect-quic-grpc", calls, "at least", 3, "grpc-js"),
  target("connect-quic", chat, "at least", 5, "connect-node"),
  ...bulk.map((place) => target("connect-quic", place, "at least", 2, "connect-node")),
  ...narrow.map((place) => target("connect-quic", place, "at least", 1, "connect-node")),
  ...bulk.map((place) => target("connect-quic", place, "at least", 0.95, "bare-engine")),
  target("connect-quic", fresh, "at most", 1, "connect-node"),
  {
    ...target("connect-quic", resumed, "at most", 0.6),
    than: { contestant: "connect-node", ...fresh },
  },
  target("connect-quic", memory, "at most", 80),
  target("connect-quic", memory, "at most", 1, "connect-node"),
];

function target(
  contestant: string,
  place: Omit<Place, "contestant">,
  limit: Target["limit"],
  factor: number,
  other?: string,
): Target {
  const than = other === undefined ? {} : { than: { contestant: other, ...place } };
  return { place: { contestant, ...place }, limit, factor, ...than };
}

/** A line for each target of which all was measured, then one for each value in which somebody else is ahead. */
export function formatTargets(report: Report): string {
  const rows = targets.flatMap((entry) => {
    const { place, limit, factor, than } = entry;
    const value = valueAt(report, place);
    const other = than === undefined ? 1 : valueAt(report, than);
    if (value === undefined || other === undefined) {
      return [];
    }
    const found = value / other;
    const to = than === undefined ? "" : ` × ${than.contestant}`;
    const name = `${place.contestant}, ${place.workload}, ${place.metric}${to}`;
    return [targetCells(name, found, limit, factor)];
  });
  const lost = ahead(report).map(({ result, ours, theirs }) => [
    `  behind ${ours}, ${result.workload}, ${result.metric.name}`,
    formatNumber(medianOf(result, ours) ?? Number.NaN),
    `${theirs} has ${formatNumber(medianOf(result, theirs) ?? Number.NaN)} ${result.metric.unit}`,
  ]);
  return rows.length + lost.length === 0
    ? ""
    : ["targets", ...alignColumns([...rows, ...lost], "left")].join("\n");
}

/** A line that says whether a target is met, as cells of a table. */
export function targetCells(
  name: string,
  found: number,
  limit: Target["limit"],
  factor: number,
): string[] {
  const met = limit === "at most" ? found <= factor : found >= factor;
  return [`  ${met ? "met   " : "missed"} ${name}`, formatNumber(found), `${limit} ${factor}`];
}

/** Where another contestant is ahead of ours that carries the same between processes, by the first metric of workloads. */
export function ahead(
  report: Report,
): { readonly result: Result; readonly ours: string; readonly theirs: string }[] {
  const first = report.results.filter(
    ({ workload }, index, all) => all.findIndex((other) => other.workload === workload) === index,
  );
  return first.flatMap((result) =>
    [
      { ours: "connect-quic", carries: "calls" },
      { ours: "bare-engine", carries: "bytes" },
    ].flatMap(({ ours, carries }) => {
      const own = medianOf(result, ours);
      const sign = result.metric.better === "less" ? 1 : -1;
      return report.contestants
        .filter((other) => other.carries === carries && !isOurs(other.name))
        .filter(({ name }) => {
          const value = medianOf(result, name);
          return own !== undefined && value !== undefined && (value - own) * sign < 0;
        })
        .map(({ name }) => ({ result, ours, theirs: name }));
    }),
  );
}

/** Ours, or nobody's: what stays within a process carries nothing between two. */
export function isOurs(name: string): boolean {
  return /^(connect-quic|bare-engine|router-transport)/.test(name);
}

function valueAt(report: Report, { contestant, workload, metric }: Place): number | undefined {
  const result = report.results.find(
    (entry) => entry.workload === workload && entry.metric.name === metric,
  );
  return result === undefined ? undefined : medianOf(result, contestant);
}
