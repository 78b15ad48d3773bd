import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mock, test } from "node:test";
import { nodePlatform } from "./node-platform.ts";

/** What `run` asks of setTimeout, whose callbacks are called at once. */
function delaysOf(run: () => void, maxCalls = 10): number[] {
  const delays: number[] = [];
  const fake = mock.method(globalThis, "setTimeout", ((callback: () => void, delay: number) => {
    delays.push(delay);
    if (delays.length < maxCalls) {
      callback();
    }
    return { unref: () => {} };
  }) as typeof setTimeout);
  try {
    run();
  } finally {
    fake.mock.restore();
  }
  return delays;
}

test("nodePlatform's clocks move on", () => {
  const before = nodePlatform.now();
  assert.ok(nodePlatform.now() >= before);
  assert.ok(nodePlatform.unixMs() > Date.UTC(2024, 0));
});

test("nodePlatform fills with random bytes, each time others", () => {
  const [one, other] = [new Uint8Array(32), new Uint8Array(32)];
  nodePlatform.randomFill(one);
  nodePlatform.randomFill(other);
  assert.notDeepEqual(one, other);
});

test("nodePlatform runs a callback soon, but not at once", async () => {
  const order: string[] = [];
  await new Promise<void>((resolve) => {
    nodePlatform.soon(() => {
      order.push("soon");
      resolve();
    });
    order.push("now");
  });
  assert.deepEqual(order, ["now", "soon"]);
});

test("nodePlatform rounds delays up, so that no timer comes early", () => {
  const delays = delaysOf(() => {
    nodePlatform.setTimer(0.2, () => {});
    nodePlatform.setTimer(7, () => {});
    nodePlatform.setTimer(7.01, () => {});
  });
  assert.deepEqual(delays, [1, 7, 8]);
});

test("nodePlatform waits longer than the longest delay of Node.js, or for ever", () => {
  let fired = 0;
  const longest = 2 ** 31 - 1;
  const delays = delaysOf(() => {
    nodePlatform.setTimer(2 * longest + 5, () => {
      fired += 1;
    });
  });
  assert.deepEqual(delays, [longest, longest, 5]);
  assert.equal(fired, 1);
  const forever = delaysOf(() => {
    nodePlatform.setTimer(Infinity, () => assert.fail("a timer of Infinity has fired"));
  });
  assert.deepEqual(new Set(forever), new Set([longest]));
});

test("a timer that was cleared does not fire, and one that fired may be cleared", async () => {
  const cleared = nodePlatform.setTimer(1, () => assert.fail("a cleared timer has fired"));
  nodePlatform.clearTimer(cleared);
  // Timers do not hold the process, so something else has to.
  const held = setInterval(() => {}, 1_000);
  await new Promise<void>((resolve) => {
    const timer = nodePlatform.setTimer(5, () => {
      nodePlatform.clearTimer(timer);
      resolve();
    });
  });
  clearInterval(held);
});

test("F5: a timer of nodePlatform does not keep the process alive", () => {
  const url = new URL("./node-platform.ts", import.meta.url);
  const { status, stderr } = spawnSync(
    process.execPath,
    [
      "--import=tsx",
      "--input-type=module",
      "--eval",
      `import { nodePlatform } from ${JSON.stringify(url.href)};
       nodePlatform.setTimer(600_000, () => {});`,
    ],
    { encoding: "utf8", timeout: 60_000 },
  );
  assert.equal(status, 0, stderr);
});
