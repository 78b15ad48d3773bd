// bench/reverse.ts with few devices: no call is lost, and all devices come back to a hub that was stopped, and to one that was
// killed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { ReverseReport } from "../../bench/reverse-report.ts";
import { runTypeScript } from "../support/run-typescript.ts";

test("devices are called by their hub, come back to the next one by themselves, and are called again", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "connect-quic-many-devices-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "report.json");
  const program = fileURLToPath(new URL("../../bench/reverse.ts", import.meta.url));
  const child = spawn(process.execPath, [runTypeScript, program, "--quick", "--json", file], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.after(() => child.kill("SIGKILL"));
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  }
  const [code] = await once(child, "close");
  assert.equal(code, 0, printed);
  const { devices, calls, returns, ways } = JSON.parse(readFileSync(file, "utf8")) as ReverseReport;
  assert.equal(devices, 50);
  assert.deepEqual(
    calls.map(({ when, expected, done }) => [when, expected, done]),
    ["connected", "back after it was stopped", "back after it was killed"].flatMap((when) => [
      [`of devices, ${when}`, 500, 500],
      [`by devices, ${when}`, 50, 50],
    ]),
  );
  assert.deepEqual(
    returns.map((each) => [each.how, each.devices]),
    [
      ["stopped", 50],
      ["killed", 50],
    ],
  );
  assert.deepEqual(
    ways.map(({ atOnce, forth, back }) => [atOnce, forth.elapsedUs.length, back.elapsedUs.length]),
    [
      [1, 3, 3],
      [32, 3, 3],
    ],
  );
});
