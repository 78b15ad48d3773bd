import type { Ability, Conditions } from "./contestant.ts";
import type { Pair } from "./pair.ts";
import type { Effort, Metric, Workload } from "./workload.ts";

/** The largest datagram that gets through nearly everywhere. */
const internetDatagram: Conditions = { maxDatagram: 1_350 };

/** All workloads in the order in which they are played. */
export const workloads: readonly Workload[] = [
  calls("unary, 100 B, 1 caller", 100, 1),
  calls("unary, 100 B, 32 callers", 100, 32),
  calls("unary, 100 B, 256 callers", 100, 256),
  calls("unary, 10 KB, 1 caller", 10_000, 1),
  calls("unary, 10 KB, 32 callers", 10_000, 32),
  calls("unary, 10 KB, 256 callers", 10_000, 256),
  smallMessages("server streaming, 100 B", "down"),
  smallMessages("bidirectional streaming, 100 B", "both"),
  bulk("bulk down, 64 KiB messages", "down"),
  bulk("bulk up, 64 KiB messages", "up"),
  bulk("bulk down, datagrams of 1350 B", "down", internetDatagram),
  bulk("bulk up, datagrams of 1350 B", "up", internetDatagram),
  dials("first call on a new connection", "new"),
  dials("first call, session resumed", "resumed"),
  processStart("first call of a process"),
  memory("1,000 idle connections", { of: "connections" }),
  memory("10,000 open streams", { of: "streams" }),
  wire("on the wire, unary, 100 B"),
];

function calls(name: string, bytes: number, callers: number): Workload {
  return {
    name,
    needs: [],
    conditions: {},
    processes: "shared",
    metrics: [
      { name: "rate", unit: "calls/s", better: "more" },
      { name: "median", unit: "us", better: "less" },
      { name: "p99", unit: "us", better: "less" },
      { name: "CPU client", unit: "us/call", better: "less" },
      { name: "CPU server", unit: "us/call", better: "less" },
    ],
    measure: async (pair, { milliseconds }) => {
      const before = await pair.usage();
      const result = await pair.play({ type: "call", bytes, callers, milliseconds });
      const after = await pair.usage();
      return [
        result.count / result.seconds,
        result.medianUs,
        result.p99Us,
        (after.client.cpuUs - before.client.cpuUs) / result.count,
        (after.server.cpuUs - before.server.cpuUs) / result.count,
      ];
    },
  };
}

function smallMessages(name: string, direction: "down" | "both"): Workload {
  return {
    name,
    needs: [],
    conditions: {},
    processes: "shared",
    metrics: [
      { name: "rate", unit: "messages/s", better: "more" },
      { name: "CPU client", unit: "us/message", better: "less" },
      { name: "CPU server", unit: "us/message", better: "less" },
    ],
    measure: async (pair, { milliseconds, messages }) => {
      const task = { type: "stream", direction, messages, bytes: 100, milliseconds } as const;
      const before = await pair.usage();
      const { count, seconds } = await pair.play(task);
      const after = await pair.usage();
      return [
        count / seconds,
        (after.client.cpuUs - before.client.cpuUs) / count,
        (after.server.cpuUs - before.server.cpuUs) / count,
      ];
    },
  };
}

function bulk(name: string, direction: "down" | "up", conditions: Conditions = {}): Workload {
  const bytes = 65_536;
  return {
    name,
    needs: conditions.maxDatagram === undefined ? [] : ["network", "datagram-size"],
    conditions,
    processes: "shared",
    metrics: [{ name: "rate", unit: "MB/s", better: "more" }],
    measure: async (pair, { milliseconds, chunks: messages }) => {
      const task = { type: "stream", direction, messages, bytes, milliseconds } as const;
      const { count, seconds } = await pair.play(task);
      return [(count * bytes) / 1e6 / seconds];
    },
  };
}

function dials(name: string, session: "new" | "resumed"): Workload {
  return {
    name,
    needs: session === "new" ? ["network"] : ["network", "resumption"],
    conditions: {},
    processes: "shared",
    metrics: [
      { name: "median", unit: "ms", better: "less" },
      { name: "p99", unit: "ms", better: "less" },
      { name: "CPU client", unit: "ms/call", better: "less" },
      { name: "CPU server", unit: "ms/call", better: "less" },
    ],
    measure: async (pair, { dials: count }) => {
      const before = await pair.usage();
      const { medianUs, p99Us } = await pair.play({ type: "dial", session, count });
      const after = await pair.usage();
      return [
        medianUs / 1_000,
        p99Us / 1_000,
        (after.client.cpuUs - before.client.cpuUs) / count / 1_000,
        (after.server.cpuUs - before.server.cpuUs) / count / 1_000,
      ];
    },
  };
}

function processStart(name: string): Workload {
  return {
    name,
    needs: [],
    conditions: {},
    processes: "shared",
    metrics: [{ name: "since its start", unit: "ms", better: "less" }],
    measure: async (pair) => [await pair.startClient()],
  };
}

function memory(name: string, { of }: { readonly of: "connections" | "streams" }): Workload {
  const one: Metric = {
    name: "both sides",
    unit: `KiB/${of.replace(/s$/, "")}`,
    better: "less",
  };
  const needs: readonly Ability[] = ["network", of];
  return {
    name,
    needs,
    conditions: of === "streams" ? { streams: 22_000 } : {},
    processes: "fresh",
    metrics: [one, { ...one, name: "client" }, { ...one, name: "server" }],
    measure: async (pair, effort) => {
      const count = effort[of];
      // What comes with the first ones, compiled code above all, is no cost of each: as many are there before.
      await pair.play({ type: `hold-${of}`, count });
      const before = await pair.usage();
      await pair.play({ type: `hold-${of}`, count });
      const after = await pair.usage();
      const [client, server] = (["client", "server"] as const).map(
        (side) => (after[side].residentBytes - before[side].residentBytes) / 1_024 / count,
      ) as [number, number];
      return [client + server, client, server];
    },
  };
}

function wire(name: string): Workload {
  const concurrency = [1, 32];
  return {
    name,
    needs: ["network"],
    conditions: {},
    processes: "isolated",
    metrics: concurrency.flatMap((callers): Metric[] => [
      { name: `${callers} at a time`, unit: "bytes/call", better: "less" },
      { name: `${callers} at a time`, unit: "packets/call", better: "less" },
    ]),
    measure: async (pair, effort) => {
      const values: number[] = [];
      for (const callers of concurrency) {
        values.push(...(await wirePerCall(pair, callers, effort)));
      }
      return values;
    },
  };
}

/** Bytes and IP packets in both directions, acknowledgements and all. */
async function wirePerCall(
  pair: Pair,
  callers: number,
  { milliseconds }: Effort,
): Promise<readonly [bytes: number, packets: number]> {
  const before = (await pair.usage()).server.loopback;
  const { count } = await pair.play({ type: "call", bytes: 100, callers, milliseconds });
  const after = (await pair.usage()).server.loopback;
  return [(after.bytes - before.bytes) / count, (after.packets - before.packets) / count];
}
