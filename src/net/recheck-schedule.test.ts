import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualPlatform, settled } from "../../test/support/manual-platform.ts";
import { type Deferred, deferred } from "../base/deferred.ts";
import { RecheckSchedule } from "./recheck-schedule.ts";

interface Check {
  readonly atMs: number;
  readonly full: boolean;
  readonly signal: AbortSignal;
  readonly over: Deferred<void>;
}

function schedule(check?: () => Promise<void>) {
  const platform = new ManualPlatform();
  const checks: Check[] = [];
  let finished = 0;
  const rechecks = new RecheckSchedule({
    platform,
    check: (options) => {
      const over = deferred<void>();
      checks.push({ ...options, atMs: platform.now(), over });
      return check?.() ?? over.promise;
    },
    checked: () => {
      finished += 1;
    },
  });
  /** Ends the last check. */
  const end = async (): Promise<void> => {
    checks.at(-1)?.over.resolve();
    await settled();
  };
  return { platform, checks, rechecks, end, finished: () => finished };
}

test("RecheckSchedule checks at its start, then 20 to 26 s after each end, all of it every 5 min", async () => {
  const { platform, checks, rechecks } = schedule(() => Promise.resolve());
  rechecks.start();
  for (let second = 0; second < 600; second += 1) {
    platform.randomByte = second % 256;
    platform.advance(1_000);
    await settled();
  }
  const gaps = checks.slice(1).map(({ atMs }, index) => atMs - (checks[index]?.atMs ?? 0));
  assert.ok(
    gaps.every((gap) => gap >= 20_000 && gap <= 27_000),
    gaps.join(),
  );
  assert.ok(new Set(gaps).size > 3, "they differ");
  const full = checks.filter((check) => check.full).map(({ atMs }) => atMs);
  assert.equal(full.length, 2, full.join());
  assert.ok((full[1] ?? 0) >= 300_000 && (full[1] ?? 0) < 327_000);
  rechecks.stop();
  assert.equal(platform.timers, 0);
});

test("RecheckSchedule goes on when a check hangs, is rejected or throws", async () => {
  const { platform, checks, rechecks, finished } = schedule();
  rechecks.start();
  platform.advance(0);
  platform.advance(4_999);
  assert.equal(finished(), 0);
  platform.advance(1);
  assert.equal(finished(), 1);
  assert.ok(checks[0]?.signal.aborted);
  checks[0]?.over.resolve();
  await settled();
  assert.equal(finished(), 1, "its end comes too late to count");
  platform.advance(20_000);
  checks[1]?.over.reject(new Error("no network"));
  await settled();
  assert.equal(finished(), 2);
  rechecks.stop();

  const thrown = schedule(() => {
    throw new Error("no socket");
  });
  thrown.rechecks.start();
  thrown.platform.advance(0);
  await settled();
  assert.equal(thrown.finished(), 1);
});

test("RecheckSchedule hurries when asked, but begins no more than once a second", async () => {
  const { platform, checks, rechecks, end } = schedule();
  rechecks.start();
  platform.advance(0);
  await end();
  platform.advance(5_000);
  rechecks.hurry({ full: false });
  platform.advance(0);
  assert.deepEqual(
    checks.map(({ full }) => full),
    [true, false],
  );
  await end();
  for (let times = 0; times < 100; times += 1) {
    rechecks.hurry({ full: times === 50 });
    platform.advance(5);
  }
  assert.equal(checks.length, 2);
  platform.advance(500);
  assert.deepEqual(
    checks.map(({ full }) => full),
    [true, false, true],
  );
  rechecks.stop();
});

test("RecheckSchedule replaces a check that is under way by a full one, and appends a quick one", async () => {
  const { platform, checks, rechecks, end, finished } = schedule();
  rechecks.start();
  platform.advance(2_000);
  rechecks.hurry({ full: false });
  rechecks.hurry({ full: false });
  platform.advance(2_000);
  assert.equal(checks.length, 1);
  await end();
  platform.advance(1_000);
  assert.equal(checks.length, 2);
  assert.equal(finished(), 1);
  platform.advance(2_000);
  rechecks.hurry({ full: true });
  assert.ok(checks[1]?.signal.aborted);
  platform.advance(0);
  assert.deepEqual(
    checks.map(({ full }) => full),
    [true, false, true],
  );
  assert.equal(finished(), 1, "a check that was replaced has no outcome");
  rechecks.stop();
});

test("F1: a stopped RecheckSchedule does nothing more, and can be started again", async () => {
  const { platform, checks, rechecks, end, finished } = schedule();
  rechecks.hurry({ full: true });
  assert.equal(platform.timers, 0);
  rechecks.start();
  rechecks.start();
  assert.equal(platform.timers, 1);
  platform.advance(0);
  rechecks.stop();
  rechecks.stop();
  assert.ok(checks[0]?.signal.aborted);
  await end();
  assert.equal(finished(), 0);
  assert.equal(platform.timers, 0);
  rechecks.start();
  platform.advance(0);
  assert.equal(checks.length, 2);
  rechecks.stop();
});
