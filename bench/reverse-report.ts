// What came out of bench/reverse.ts, for programs and for people.

import { formatNumber } from "./format-number.ts";
import type { CallsOutcome } from "./reverse-calls.ts";
import { type Spread, spread } from "./statistics.ts";
import { alignColumns } from "./table.ts";
import { targetCells } from "./targets.ts";

/** All of a run; what stands in the JSON file. */
export interface ReverseReport {
  readonly node: string;
  /** Cores that both processes share, with whatever else runs on the machine. */
  readonly cores: number;
  /** What ran or waited to run on the machine when it began, over a minute. */
  readonly load: number;
  readonly devices: number;
  /** Calls forth and back on one connection. */
  readonly ways: readonly WaysCompared[];
  readonly idle: IdleDevices;
  readonly calls: readonly CallsOfAll[];
  readonly returns: readonly Return[];
}

/** Rounds of calls forth and back, by turns, so many at a time. Microseconds for each call. */
export interface WaysCompared {
  readonly atOnce: number;
  readonly forth: Way;
  readonly back: Way;
}

/** One value for each round. */
export interface Way {
  readonly elapsedUs: number[];
  /** Of both processes. */
  readonly processorUs: number[];
}

export interface IdleDevices {
  /** Until all were connected for the first time. */
  readonly connectedMs: number;
  /** Of the hub for each. */
  readonly heldBytes: number;
  /** The same, as the system sees it. */
  readonly residentBytes: number;
}

/** Calls of all devices, or by all. */
export interface CallsOfAll extends CallsOutcome {
  readonly when: string;
}

/** The hub's process went, and another took its place. */
export interface Return {
  readonly how: "stopped" | "killed";
  /** From the end of the one until the other listened. */
  readonly awayMs: number;
  /** Devices that were there when the wait was over. */
  readonly devices: number;
  /** From then on, until a device was there: one in the middle, and the last. */
  readonly medianMs: number;
  readonly lastMs: number;
  /** What the options of the devices promise. */
  readonly promisedMs: number;
  /** How long they were waited for. */
  readonly allowedMs: number;
}

/** Calls that have failed, and devices that have not come back. */
export function losses({ devices, calls, returns }: ReverseReport): string[] {
  return [
    ...calls
      .filter(({ expected, done }) => done !== expected)
      .map(
        ({ when, expected, done, errors }) =>
          `${expected - done} of ${expected} calls ${when}: ${errors[0] ?? "no error was seen"}`,
      ),
    ...returns
      .filter((each) => each.devices !== devices)
      .map(
        (each) =>
          `${devices - each.devices} of ${devices} devices were not back ${seconds(each.allowedMs)} after their hub was ${each.how}`,
      ),
  ];
}

export function formatReverse(report: ReverseReport): string {
  const { node, cores, load, devices, ways, idle, calls, returns } = report;
  const lost = losses(report);
  const compared = ways.flatMap((each) =>
    (["elapsedUs", "processorUs"] as const).map((value) => ({
      name: `${each.atOnce} at a time, ${value === "elapsedUs" ? "time" : "processor time of both"}`,
      forth: spread(each.forth[value]),
      back: spread(each.back[value]),
      ratio: spread(each.back[value].map((us, round) => us / (each.forth[value][round] ?? 0))),
    })),
  );
  return [
    `Node.js ${node}, ${cores} cores for all, load ${load.toFixed(1)}`,
    "",
    `calls of 100 B on one connection, medians of ${ways[0]?.forth.elapsedUs.length} rounds by turns`,
    ...alignColumns(
      [
        ["", "forth, us", "", "back, us", "", "back ÷ forth", ""],
        ...compared.map(({ name, forth, back, ratio }) => [
          `  ${name}`,
          ...[forth, back].flatMap((way) => [formatNumber(way.median), deviation(way)]),
          ratio.median.toFixed(2),
          `${ratio.least.toFixed(2)} to ${ratio.most.toFixed(2)}`,
        ]),
      ],
      "left",
    ),
    "",
    `${devices} devices at one hub`,
    `  connected after ${seconds(idle.connectedMs)}`,
    `  for each that is idle the hub holds ${kib(idle.heldBytes)}, and has ${kib(idle.residentBytes)} more of the machine's memory`,
    ...calls.map(
      ({ when, expected, done, milliseconds }) =>
        `  ${done} of ${expected} calls ${when}: ${formatNumber(done / (milliseconds / 1_000))} a second`,
    ),
    ...returns.map(
      (each) =>
        `  hub ${each.how}, and started anew after ${seconds(each.awayMs)}: ${each.devices} devices back, the median after ${seconds(each.medianMs)}, the last after ${seconds(each.lastMs)}; promised are ${seconds(each.promisedMs)}`,
    ),
    "",
    "targets",
    ...alignColumns(
      [
        ...compared.map(({ name, ratio }) =>
          targetCells(`a call back ÷ a call forth, ${name}`, ratio.median, "at most", 1.1),
        ),
        targetCells(
          "calls that are lost",
          calls.reduce((sum, { expected, done }) => sum + expected - done, 0),
          "at most",
          0,
        ),
        ...returns.map((each) =>
          targetCells(
            `s until all devices are back, hub ${each.how}`,
            each.devices === devices ? each.lastMs / 1_000 : Number.POSITIVE_INFINITY,
            "at most",
            each.promisedMs / 1_000,
          ),
        ),
      ],
      "left",
    ),
    ...(lost.length === 0 ? [] : ["", ...lost.map((each) => `LOST: ${each}`)]),
  ]
    .map((line) => line.trimEnd())
    .join("\n");
}

function deviation({ median, least, most }: Spread): string {
  return `±${Math.round(((most - least) / 2 / median) * 100)}%`;
}

function kib(bytes: number): string {
  return `${(bytes / 1_024).toFixed(0)} KiB`;
}

function seconds(milliseconds: number): string {
  return Number.isFinite(milliseconds) ? `${(milliseconds / 1_000).toFixed(1)} s` : "–";
}
