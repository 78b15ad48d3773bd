import type { Report } from "./report.ts";

/** A small report for tests: three contestants, two workloads, a gap. */
export const testReport: Report = {
  date: "2026-01-02T03:04:05.000Z",
  commit: "abc1234",
  node: "v20.19.0",
  machine: "2 × Test, linux",
  rounds: 3,
  effort: {
    warmupMilliseconds: 0,
    milliseconds: 1,
    messages: 1,
    chunks: 1,
    dials: 1,
    connections: 1,
    streams: 1,
  },
  baseline: "connect-node",
  contestants: [
    { name: "connect-quic", title: "ours", carries: "calls" },
    { name: "connect-node", title: "theirs", carries: "calls" },
    { name: "iroh", title: "streams", carries: "bytes" },
  ],
  results: [
    {
      workload: "unary, 100 B, 1 caller",
      metric: { name: "median", unit: "us", better: "less" },
      series: [
        { contestant: "connect-quic", values: [100, 90, 110] },
        { contestant: "connect-node", values: [400, 400, 400] },
        { contestant: "iroh", values: [300, 280, 330] },
      ],
    },
    {
      workload: "bulk down, 64 KiB messages",
      metric: { name: "rate", unit: "MB/s", better: "more" },
      series: [
        { contestant: "connect-quic", values: [150, 140, 160] },
        { contestant: "connect-node", values: [200, 250, 150] },
        { contestant: "iroh", values: [] },
      ],
    },
  ],
  gaps: [
    { contestant: "iroh", workload: "bulk down, 64 KiB messages", reason: "failed: why not" },
    { contestant: "libp2p-tcp", reason: "needs <another> Node" },
  ],
};
