import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { Signal } from "./signal.ts";

test("Signal wakes all who wait, once", async () => {
  const signal = new Signal();
  const woken = Promise.all([signal.wait(), signal.wait()]);
  signal.notify();
  await woken;
  let again = false;
  const later = signal.wait().then(() => {
    again = true;
  });
  await Promise.resolve();
  assert.equal(again, false);
  signal.notify();
  await later;
});

test("Signal stops waiting when its caller is aborted and leaves no listener", async () => {
  const signal = new Signal();
  const controller = new AbortController();
  const aborted = signal.wait({ signal: controller.signal });
  controller.abort(new Error("enough"));
  await assert.rejects(aborted, /enough/);
  await assert.rejects(signal.wait({ signal: controller.signal }), /enough/);

  const other = new AbortController();
  const woken = signal.wait({ signal: other.signal });
  signal.notify();
  await woken;
  assert.equal(getEventListeners(other.signal, "abort").length, 0);
});
