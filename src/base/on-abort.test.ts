import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { onAbort } from "./on-abort.ts";

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, "abort").length;
}

test("onAbort calls everybody who waits once, in the order in which they came", () => {
  const controller = new AbortController();
  const called: number[] = [];
  for (const number of [1, 2, 3]) {
    onAbort(controller.signal, () => called.push(number));
  }
  controller.abort();
  assert.deepEqual(called, [1, 2, 3]);
  assert.equal(listeners(controller.signal), 0);
});

test("onAbort calls nobody who has stopped waiting, also when that was just now", () => {
  const controller = new AbortController();
  const called: string[] = [];
  const note = (name: string) => () => {
    called.push(name);
  };
  onAbort(controller.signal, note("gone"))();
  const stops: (() => void)[] = [];
  onAbort(controller.signal, () => {
    called.push("first");
    for (const stop of stops) {
      stop();
    }
  });
  stops.push(onAbort(controller.signal, note("second")));
  controller.abort();
  assert.deepEqual(called, ["first"]);
});

test("onAbort can wait twice with the same function", () => {
  const controller = new AbortController();
  let count = 0;
  const callback = (): void => {
    count += 1;
  };
  const stop = onAbort(controller.signal, callback);
  onAbort(controller.signal, callback);
  stop();
  stop();
  controller.abort();
  assert.equal(count, 1);
});

test("onAbort does nothing without a signal", () => {
  onAbort(undefined, assert.fail)();
});

test("F27: any number who wait are one listener, and no listener when they are gone", () => {
  const { signal } = new AbortController();
  for (let round = 0; round < 2; round += 1) {
    const stops = Array.from({ length: 1_000 }, () => onAbort(signal, assert.fail));
    assert.equal(listeners(signal), 1);
    for (const stop of stops) {
      stop();
    }
    assert.equal(listeners(signal), 0);
  }
});
