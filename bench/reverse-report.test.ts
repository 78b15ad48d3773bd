import assert from "node:assert/strict";
import { test } from "node:test";
import { formatReverse, losses, type ReverseReport } from "./reverse-report.ts";

const report: ReverseReport = {
  node: "20.19.0",
  cores: 2,
  load: 0.25,
  devices: 10,
  ways: [
    {
      atOnce: 32,
      forth: { elapsedUs: [100, 110, 90], processorUs: [200, 200, 200] },
      back: { elapsedUs: [130, 121, 90], processorUs: [200, 210, 190] },
    },
  ],
  idle: { connectedMs: 1_200, heldBytes: 51_200, residentBytes: 102_400 },
  calls: [
    { when: "of devices, connected", expected: 100, done: 100, errors: [], milliseconds: 50 },
    { when: "by devices, connected", expected: 10, done: 9, errors: ["why"], milliseconds: 10 },
  ],
  returns: [
    {
      how: "stopped",
      awayMs: 900,
      devices: 10,
      medianMs: 400,
      lastMs: 14_000,
      promisedMs: 13_000,
      allowedMs: 26_000,
    },
    {
      how: "killed",
      awayMs: 900,
      devices: 8,
      medianMs: 20_000,
      lastMs: 30_000,
      promisedMs: 48_000,
      allowedMs: 96_000,
    },
  ],
};

test("what is lost are calls, and devices that are not back in time", () => {
  const lost = [
    "1 of 10 calls by devices, connected: why",
    "2 of 10 devices were not back 96.0 s after their hub was killed",
  ];
  assert.deepEqual(losses(report), lost);
  assert.deepEqual(
    formatReverse(report)
      .split("\n")
      .filter((line) => line.startsWith("LOST")),
    lost.map((each) => `LOST: ${each}`),
  );
});

test("targets are met or missed, by the medians of what is compared within a round", () => {
  const text = formatReverse(report);
  assert.match(text, /32 at a time, time +100 +±10% +121 +±17% +1.10 +1.00 to 1.30/);
  assert.deepEqual(
    [...text.matchAll(/^ {2}((met|missed) .*)$/gm)].map(([, line]) => line?.replace(/ +/g, " ")),
    [
      "met a call back ÷ a call forth, 32 at a time, time 1.10 at most 1.1",
      "met a call back ÷ a call forth, 32 at a time, processor time of both 1.00 at most 1.1",
      "missed calls that are lost 1.00 at most 0",
      "missed s until all devices are back, hub stopped 14.0 at most 13",
      "missed s until all devices are back, hub killed – at most 48",
    ],
  );
});
